defmodule Evenground.Json.Encoder do
  @moduledoc "Terms to JSON, spaced and escaped as Python's `json.dumps` does."

  alias Evenground.Error

  # Nx's names for numbers that JSON does not have.
  @null [nil, :nan, :infinity, :neg_infinity]
  @short %{
    ?" => "\\\"",
    ?\\ => "\\\\",
    ?\n => "\\n",
    ?\r => "\\r",
    ?\t => "\\t",
    ?\b => "\\b",
    ?\f => "\\f"
  }

  @doc "The parts of a term's JSON, in order; raises Evenground.Error for a text that is not UTF-8."
  @spec iodata(term()) :: iodata()
  def iodata(value) when value in @null, do: "null"
  def iodata(value) when is_boolean(value), do: Atom.to_string(value)
  def iodata(value) when is_atom(value), do: value |> Atom.to_string() |> text()
  def iodata(value) when is_binary(value), do: text(value)
  def iodata(value) when is_integer(value), do: Integer.to_string(value)
  def iodata(value) when is_float(value), do: Float.to_string(value)

  # Sorted, because the order of a map's keys differs between releases of Erlang.
  def iodata(value) when is_map(value) do
    value |> Enum.sort_by(fn {key, _} -> to_string(key) end) |> object()
  end

  def iodata([{key, _} | _] = value) when is_atom(key) or is_binary(key), do: object(value)
  def iodata(value) when is_list(value), do: ["[", joined(value, &iodata/1), "]"]

  defp object(pairs), do: ["{", joined(pairs, &pair/1), "}"]

  defp pair({key, value}), do: [key |> to_string() |> text(), ": ", iodata(value)]

  defp joined(values, function), do: values |> Enum.map(function) |> Enum.intersperse(", ")

  defp text(value) do
    if not String.valid?(value) do
      Error.raise!("a text is not UTF-8", inspect(value), "give a text that is")
    end

    [?", for(<<code::utf8 <- value>>, do: escaped(code)), ?"]
  end

  # Everything but ASCII is escaped: some readers take U+0085 or U+2028 for the end of a line.
  defp escaped(code) when is_map_key(@short, code), do: Map.fetch!(@short, code)
  defp escaped(code) when code in 0x20..0x7E, do: code
  defp escaped(code), do: for(<<unit::16 <- utf16(code)>>, do: ["\\u", hex(unit)])

  defp utf16(code), do: <<code::utf16>>
  defp hex(unit), do: Base.encode16(<<unit::16>>, case: :lower)
end
