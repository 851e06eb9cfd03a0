defmodule Evenground.Batches do
  @moduledoc """
  Batches as streams of `{images, labels}`: float32 (n, H, W, C) from 0 to 1 and uint8 (n, 1).

  Slicing tensors one by one is slow on EXLA's backend, so a batch is cut from a binary and then made a tensor.
  """

  alias Evenground.{Dataset, Windows}

  @doc "The dataset with its images scaled to float32. Raises Evenground.Error for one that is broken or too small."
  @spec load(map, pos_integer | nil, pos_integer | nil) :: map
  def load(given, train_limit, test_limit \\ nil) do
    data = Dataset.load!(given.dataset, given.batch_size, train_limit, test_limit)
    Windows.check!(given.network, data.shape, given.dataset)
    {height, width, channels} = data.shape
    bytes = height * width * channels

    %{
      data
      | train_images: scaled(data.train_images, bytes),
        test_images: scaled(data.test_images, bytes)
    }
  end

  # Pixels / 255 as a float32 binary; in pieces, to hold no second copy of all images as a tensor.
  defp scaled(pixels, image_bytes) do
    pieces(pixels, 1000 * image_bytes)
    |> Enum.map(fn piece -> piece |> Nx.from_binary(:u8) |> Nx.divide(255.0) |> Nx.to_binary() end)
    |> IO.iodata_to_binary()
  end

  @doc "The first `batch_size` examples, the next, and so on; a short last batch is left out unless `leftover: :keep`."
  @spec stream(binary, binary, tuple, pos_integer, keyword) :: Enumerable.t()
  def stream(images, labels, shape, batch_size, opts \\ []) do
    count = byte_size(labels)
    whole = count - rem(count, batch_size)
    until = if opts[:leftover] == :keep, do: count, else: whole

    0
    |> Stream.iterate(&(&1 + batch_size))
    |> Stream.take_while(&(&1 < until))
    |> Stream.map(&batch(images, labels, shape, &1, min(batch_size, until - &1)))
  end

  defp batch(images, labels, {height, width, channels}, first, count) do
    bytes = 4 * height * width * channels
    cut = binary_part(images, first * bytes, count * bytes)
    pixels = cut |> Nx.from_binary(:f32) |> Nx.reshape({count, height, width, channels})
    {pixels, labels |> binary_part(first, count) |> Nx.from_binary(:u8) |> Nx.reshape({count, 1})}
  end

  defp pieces(binary, size) when byte_size(binary) <= size, do: [binary]

  defp pieces(binary, size) do
    <<piece::binary-size(size), rest::binary>> = binary
    [piece | pieces(rest, size)]
  end
end
