defmodule Evenground.Npy.Header do
  @moduledoc "The header before the data of a .npy file: magic, version, length, and a Python dictionary."

  alias Evenground.Npy

  @magic <<0x93, "NUMPY">>
  @types %{"|u1" => {:u, 8}, "<f4" => {:f, 32}}
  @names Map.new(@types, fn {name, type} -> {type, name} end)
  @alignment_bytes 64
  # Magic, version and length of version 1.0.
  @prefix_bytes 10

  @doc "Type, shape and data of a file's content, or what is wrong with it."
  @spec split(binary()) :: {:ok, Npy.element(), tuple(), binary()} | {:error, String.t()}
  def split(content) do
    with {:ok, text, data} <- parts(content),
         {:ok, type} <- type(text),
         :ok <- c_order(text),
         {:ok, shape} <- shape(text) do
      {:ok, type, shape, data}
    end
  end

  @doc "The header of an array, version 1.0; the data after it start at a multiple of 64 bytes."
  @spec binary(Npy.element(), tuple()) :: binary()
  def binary(type, shape) do
    text =
      "{'descr': '#{Map.fetch!(@names, type)}', 'fortran_order': False, " <>
        "'shape': #{Npy.shape_text(shape)}, }"

    spaces = Integer.mod(-(@prefix_bytes + byte_size(text) + 1), @alignment_bytes)
    text = text <> String.duplicate(" ", spaces) <> "\n"
    <<@magic, 1, 0, byte_size(text)::16-little, text::binary>>
  end

  defp parts(<<@magic, 1, 0, length::16-little, rest::binary>>), do: cut(rest, length)
  defp parts(<<@magic, 2, 0, length::32-little, rest::binary>>), do: cut(rest, length)

  defp parts(<<@magic, major, minor, _::binary>>) when major not in [1, 2] or minor != 0 do
    {:error, "version #{major}.#{minor} of the .npy format, not 1.0 or 2.0"}
  end

  defp parts(<<@magic, _::binary>>), do: truncated()
  defp parts(_content), do: {:error, "not a .npy file"}

  defp cut(rest, length) do
    case rest do
      <<text::binary-size(length), data::binary>> -> {:ok, text, data}
      _ -> truncated()
    end
  end

  defp truncated, do: {:error, "the file ends within its header"}

  defp type(text) do
    case value(text, "descr", "'([^']*)'") do
      {:ok, name} when is_map_key(@types, name) -> {:ok, Map.fetch!(@types, name)}
      {:ok, name} -> {:error, "numbers of type '#{name}', not '|u1' or '<f4'"}
      :error -> {:error, "no type in its header"}
    end
  end

  defp c_order(text) do
    case value(text, "fortran_order", "(True|False)") do
      {:ok, "False"} -> :ok
      {:ok, "True"} -> {:error, "Fortran order"}
      :error -> {:error, "no order in its header"}
    end
  end

  defp shape(text) do
    case value(text, "shape", "\\(([0-9, ]*)\\)") do
      {:ok, sides} -> {:ok, sides(sides)}
      :error -> {:error, "no shape in its header"}
    end
  end

  defp sides(text) do
    text
    |> String.split([",", " "], trim: true)
    |> Enum.map(&String.to_integer/1)
    |> List.to_tuple()
  end

  defp value(text, key, pattern) do
    case Regex.run(~r/'#{key}'\s*:\s*#{pattern}/, text) do
      [_, value] -> {:ok, value}
      nil -> :error
    end
  end
end
