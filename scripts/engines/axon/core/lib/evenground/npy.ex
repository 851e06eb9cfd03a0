defmodule Evenground.Npy do
  @moduledoc "Arrays in NumPy's .npy files: uint8 and float32, C order, format versions 1.0 and 2.0."

  alias Evenground.{Error, FileError}
  alias Evenground.Npy.Header

  @type element :: {:u, 8} | {:f, 32}
  @type t :: %{type: element(), shape: tuple(), data: binary()}

  @doc "The array in a file; `data` is part of the content read, not a copy. Raises Evenground.Error."
  @spec read!(Path.t()) :: t()
  def read!(path) do
    case read(path) do
      {:ok, array} -> array
      {:error, what} -> Error.raise!(what, path, "write it again as uint8 or float32 in C order")
    end
  end

  @doc "The array of a file, or what is wrong with it."
  @spec read(Path.t()) :: {:ok, t()} | {:error, String.t()}
  def read(path) do
    with {:ok, content} <- content(path),
         {:ok, type, shape, data} <- Header.split(content),
         :ok <- fits(type, shape, data) do
      {:ok, %{type: type, shape: shape, data: data}}
    end
  end

  @doc "Writes an array; raises Evenground.Error if it does not fit its shape or cannot be written."
  @spec write!(Path.t(), element(), tuple(), binary()) :: :ok
  def write!(path, type, shape, data) do
    with {:error, what} <- fits(type, shape, data) do
      Error.raise!(what, path, "give the shape of the data")
    end

    path |> File.write([Header.binary(type, shape), data]) |> FileError.written!(path)
  end

  @doc ~s|A shape as Python writes it: "(3,)", "(3, 4)".|
  @spec shape_text(tuple()) :: String.t()
  def shape_text({only}), do: "(#{only},)"
  def shape_text(shape), do: "(#{shape |> Tuple.to_list() |> Enum.join(", ")})"

  @doc "The number of values in an array of a shape."
  @spec size(tuple()) :: non_neg_integer()
  def size(shape), do: Tuple.product(shape)

  defp content(path) do
    with {:error, reason} <- File.read(path), do: {:error, FileError.words(reason)}
  end

  defp fits({_, bits}, shape, data) do
    wanted = size(shape) * div(bits, 8)

    if byte_size(data) == wanted do
      :ok
    else
      {:error, "#{byte_size(data)} bytes of data where the shape #{shape_text(shape)} needs #{wanted}"}
    end
  end
end
