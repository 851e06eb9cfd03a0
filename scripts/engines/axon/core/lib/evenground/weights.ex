defmodule Evenground.Weights do
  @moduledoc "A network's weights by their canonical names, one float32 `NAME.npy` each in a folder."

  alias Evenground.{Error, FileError, Npy}

  @type t :: %{String.t() => Npy.t()}

  @doc "The weights in a folder; raises Evenground.Error if there are none or one is not float32."
  @spec load!(Path.t()) :: t()
  def load!(folder) do
    case names(folder) do
      [] -> Error.raise!("no weights", folder, "write them with --export-weights")
      names -> Map.new(names, &{&1, one!(Path.join(folder, "#{&1}.npy"))})
    end
  end

  @doc "Writes weights into a folder, which is created if needed; raises Evenground.Error if that fails."
  @spec save!(Path.t(), t()) :: :ok
  def save!(folder, weights) do
    folder |> File.mkdir_p() |> FileError.written!(folder)

    for {name, %{type: type, shape: shape, data: data}} <- weights do
      folder |> Path.join("#{name}.npy") |> Npy.write!(type, shape, data)
    end

    :ok
  end

  @doc "Returns `loaded`; raises Evenground.Error for the first weight whose name or shape is not the network's."
  @spec same!(t(), %{String.t() => tuple()}) :: t()
  def same!(loaded, wanted_shapes) do
    shapes = Map.new(loaded, fn {name, weight} -> {name, weight.shape} end)
    names = [shapes, wanted_shapes] |> Enum.flat_map(&Map.keys/1) |> Enum.sort()
    Enum.each(names, &same_shape!(&1, shapes[&1], wanted_shapes[&1]))
    loaded
  end

  defp names(folder) do
    case File.ls(folder) do
      {:ok, files} -> for file <- files, Path.extname(file) == ".npy", do: Path.rootname(file)
      {:error, _reason} -> []
    end
  end

  defp one!(path) do
    case Npy.read!(path) do
      %{type: {:f, 32}} = weight -> weight
      _ -> Error.raise!("a weight is not float32", path, "write it with --export-weights")
    end
  end

  defp same_shape!(_name, shape, shape), do: :ok

  defp same_shape!(name, given, wanted) do
    what = "weight '#{name}' has shape #{described(given)}, the network's has #{described(wanted)}"

    Error.raise!(what, "--weights", "give the weights of this network on this dataset")
  end

  defp described(nil), do: "none"
  defp described(shape), do: Npy.shape_text(shape)
end
