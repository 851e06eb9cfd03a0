defmodule Evenground.CardTest do
  use ExUnit.Case, async: true

  alias Evenground.Card

  @two """
  GPU 0: NVIDIA GeForce RTX 2060 (UUID: GPU-aaaaaaaa-0000-1111-2222-333333333333)
  GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbbbbbb-0000-1111-2222-333333333333)
  """
  @instances """
  GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-cccccccc-0000-1111-2222-333333333333)
    MIG 1g.10gb     Device  0: (UUID: MIG-dddddddd-0000-1111-2222-333333333333)
    MIG 3g.40gb     Device  1: (UUID: MIG-eeeeeeee-0000-1111-2222-333333333333)
  GPU 1: NVIDIA A30 (UUID: GPU-ffffffff-0000-1111-2222-333333333333)
    MIG 2g.12gb     Device  0: (UUID: MIG-99999999-0000-1111-2222-333333333333)
  """

  test "the card is the one of the UUID, not the first" do
    assert Card.name("GPU-bbbbbbbb-0000-1111-2222-333333333333", @two) == {:ok, "NVIDIA A100-SXM4-40GB"}
    assert Card.name("GPU-aaaaaaaa-0000-1111-2222-333333333333", @two) == {:ok, "NVIDIA GeForce RTX 2060"}
  end

  test "an instance has its card's name and its profile" do
    assert Card.name("MIG-eeeeeeee-0000-1111-2222-333333333333", @instances) ==
             {:ok, "NVIDIA H100 80GB HBM3 MIG 3g.40gb"}

    assert Card.name("MIG-99999999-0000-1111-2222-333333333333", @instances) ==
             {:ok, "NVIDIA A30 MIG 2g.12gb"}
  end

  test "the only card needs no UUID" do
    assert Card.name(nil, @two |> String.split("\n") |> hd()) == {:ok, "NVIDIA GeForce RTX 2060"}
  end

  test "where there is no name, that has a reason" do
    assert {:error, "CUDA_VISIBLE_DEVICES names none of several cards"} = Card.name(nil, @two)
    assert {:error, "nvidia-smi -L lists no '1'" <> _} = Card.name("1", @two)
    assert {:error, "nvidia-smi -L lists no 'GPU-x'" <> _} = Card.name("GPU-x", "")
    assert {:error, _} = Card.name(nil, "")
  end
end
