defmodule Evenground.WeightsTest do
  use ExUnit.Case, async: true

  alias Evenground.{Error, Npy, Weights}

  @moduletag :tmp_dir
  @weights %{
    "dense_1.bias" => %{type: {:f, 32}, shape: {2}, data: <<1.0::float-32-little, -2.5::float-32-little>>},
    "dense_1.kernel" => %{type: {:f, 32}, shape: {1, 2}, data: <<0::64>>}
  }
  @shapes %{"dense_1.bias" => {2}, "dense_1.kernel" => {1, 2}}
  @fix "(--weights): give the weights of this network on this dataset"

  test "what is saved is loaded", %{tmp_dir: folder} do
    folder = Path.join(folder, "a/[b]")
    assert Weights.save!(folder, @weights) == :ok
    assert folder |> File.ls!() |> Enum.sort() == ["dense_1.bias.npy", "dense_1.kernel.npy"]
    assert Weights.load!(folder) == @weights
  end

  test "other files are left aside", %{tmp_dir: folder} do
    Weights.save!(folder, @weights)
    File.write!(Path.join(folder, "README.md"), "")
    assert Weights.load!(folder) == @weights
  end

  test "no folder, and none in it", %{tmp_dir: folder} do
    for folder <- [folder, Path.join(folder, "none")] do
      wanted = "error: no weights (#{folder}): write them with --export-weights"
      assert_raise Error, wanted, fn -> Weights.load!(folder) end
    end
  end

  test "a weight that is broken or not float32", %{tmp_dir: folder} do
    path = Path.join(folder, "dense_1.bias.npy")
    Npy.write!(path, {:u, 8}, {1}, "a")
    wanted = "error: a weight is not float32 (#{path}): write it with --export-weights"
    assert_raise Error, wanted, fn -> Weights.load!(folder) end
    File.write!(path, "")
    assert_raise Error, ~r/not a .npy file/, fn -> Weights.load!(folder) end
  end

  test "a place that cannot be written", %{tmp_dir: folder} do
    path = Path.join(folder, "file")
    File.write!(path, "")

    assert_raise Error, ~r/cannot write: .* \(#{Regex.escape(path)}\)/, fn ->
      Weights.save!(path, @weights)
    end
  end

  test "the wanted weights pass" do
    assert Weights.same!(@weights, @shapes) == @weights
  end

  test "one is missing" do
    wanted = "error: weight 'dense_1.bias' has shape none, the network's has (2,) " <> @fix
    assert_raise Error, wanted, fn -> @weights |> Map.delete("dense_1.bias") |> Weights.same!(@shapes) end
  end

  test "one too many" do
    wanted = "error: weight 'dense_1.kernel' has shape (1, 2), the network's has none " <> @fix
    assert_raise Error, wanted, fn -> Weights.same!(@weights, Map.delete(@shapes, "dense_1.kernel")) end
  end

  test "another shape, the first by name" do
    wanted = "error: weight 'dense_1.bias' has shape (2,), the network's has (3,) " <> @fix
    assert_raise Error, wanted, fn -> Weights.same!(@weights, %{"dense_1.bias" => {3}, "x" => {}}) end
  end
end
