defmodule Evenground.WindowsTest do
  use ExUnit.Case, async: true

  alias Evenground.{Error, Windows}

  test "the smallest pictures are those of the specification" do
    assert Windows.smallest_side("mlp") == 1
    assert Windows.smallest_side("cnn") == 10
  end

  test "smaller ones are refused in one line" do
    assert Windows.check!("cnn", {10, 32, 1}, "d8") == :ok
    assert Windows.check!("mlp", {1, 1, 1}, "d8") == :ok

    for {height, width} <- [{9, 32}, {32, 9}, {8, 8}, {5, 5}] do
      wanted =
        "error: pictures of #{height}x#{width} pixels are too small for network 'cnn' (d8): " <>
          "give pictures of 10x10 or more"

      assert_raise Error, wanted, fn -> Windows.check!("cnn", {height, width, 3}, "d8") end
    end
  end
end
