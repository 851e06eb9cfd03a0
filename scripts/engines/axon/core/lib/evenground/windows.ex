defmodule Evenground.Windows do
  @moduledoc "The sizes of pictures that the networks take, as in src/evenground/networks.py for the pipeline."

  alias Evenground.Error

  # Size and stride in pixels of each window that slides over a picture without padding, in order.
  @windows %{"mlp" => [], "cnn" => [{3, 1}, {2, 2}, {3, 1}, {2, 2}]}

  @doc "The smallest height and width from which one pixel is left."
  @spec smallest_side(String.t()) :: pos_integer()
  def smallest_side(network) do
    @windows
    |> Map.fetch!(network)
    |> List.foldr(1, fn {size, stride}, side -> (side - 1) * stride + size end)
  end

  @doc "Raises Evenground.Error if images of `shape` {H, W, C} are too small for a network."
  @spec check!(String.t(), {pos_integer(), pos_integer(), pos_integer()}, Path.t()) :: :ok
  def check!(network, {height, width, _channels}, folder) do
    smallest = smallest_side(network)

    if min(height, width) < smallest do
      what = "pictures of #{height}x#{width} pixels are too small for network '#{network}'"
      Error.raise!(what, folder, "give pictures of #{smallest}x#{smallest} or more")
    end

    :ok
  end
end
