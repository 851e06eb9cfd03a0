defmodule Evenground.Json.Decoder do
  @moduledoc "JSON (RFC 8259) to terms; strict: it accepts only what the standard allows."

  @spaces [?\s, ?\t, ?\n, ?\r]
  @short %{?" => ?", ?\\ => ?\\, ?/ => ?/, ?n => ?\n, ?r => ?\r, ?t => ?\t, ?b => ?\b, ?f => ?\f}

  @doc "The term of a JSON text, or what is wrong with it, with the byte."
  @spec decode(binary()) :: {:ok, term()} | {:error, String.t()}
  def decode(text) do
    if String.valid?(text), do: document(text), else: {:error, "broken JSON, it is not UTF-8"}
  end

  defp document(text) do
    {value, rest} = text |> skip() |> value()
    if skip(rest) == "", do: {:ok, value}, else: broken(skip(rest))
  catch
    {:broken, rest} ->
      {:error, "broken JSON at byte #{byte_size(text) - byte_size(rest)} of #{byte_size(text)}"}
  end

  @spec broken(binary()) :: no_return()
  defp broken(rest), do: throw({:broken, rest})

  defp skip(<<space, rest::binary>>) when space in @spaces, do: skip(rest)
  defp skip(text), do: text

  defp value("{" <> rest), do: rest |> skip() |> object()
  defp value("[" <> rest), do: rest |> skip() |> array()
  defp value("\"" <> rest), do: string(rest, "")
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("null" <> rest), do: {nil, rest}
  defp value(text), do: number(text)

  defp object("}" <> rest), do: {%{}, rest}
  defp object(text), do: members(text, %{})

  defp members("\"" <> rest, done) do
    {key, rest} = string(rest, "")
    {value, rest} = rest |> skip() |> after_colon() |> value()
    done = Map.put(done, key, value)

    case skip(rest) do
      "," <> rest -> rest |> skip() |> members(done)
      "}" <> rest -> {done, rest}
      rest -> broken(rest)
    end
  end

  defp members(text, _done), do: broken(text)

  defp after_colon(":" <> rest), do: skip(rest)
  defp after_colon(text), do: broken(text)

  defp array("]" <> rest), do: {[], rest}
  defp array(text), do: elements(text, [])

  defp elements(text, done) do
    {value, rest} = value(text)

    case skip(rest) do
      "," <> rest -> rest |> skip() |> elements([value | done])
      "]" <> rest -> {Enum.reverse([value | done]), rest}
      rest -> broken(rest)
    end
  end

  defp string("\"" <> rest, done), do: {done, rest}

  defp string("\\u" <> rest, done) do
    {code, rest} = rest |> unit() |> code_point()
    string(rest, <<done::binary, code::utf8>>)
  end

  defp string(<<?\\, short, rest::binary>>, done) when is_map_key(@short, short) do
    string(rest, <<done::binary, Map.fetch!(@short, short)>>)
  end

  defp string(<<byte, rest::binary>>, done) when byte >= 0x20 and byte != ?\\ do
    string(rest, <<done::binary, byte>>)
  end

  defp string(text, _done), do: broken(text)

  defp unit(<<digits::binary-size(4), rest::binary>> = text) do
    case Base.decode16(digits, case: :mixed) do
      {:ok, <<unit::16>>} -> {unit, rest}
      :error -> broken(text)
    end
  end

  defp unit(text), do: broken(text)

  # Beyond U+FFFF a code point is two units, a high surrogate and a low one; neither is valid alone.
  defp code_point({high, "\\u" <> rest}) when high in 0xD800..0xDBFF do
    case unit(rest) do
      {low, after_low} when low in 0xDC00..0xDFFF ->
        {0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00, after_low}

      _ ->
        broken(rest)
    end
  end

  defp code_point({surrogate, rest}) when surrogate in 0xD800..0xDFFF, do: broken(rest)
  defp code_point(unit), do: unit

  defp number(text) do
    case Regex.run(~r/\A-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/, text) do
      nil -> broken(text)
      [digits] -> {String.to_integer(digits), drop(text, digits)}
      [digits | _] -> {float(digits, text), drop(text, digits)}
    end
  end

  defp drop(text, start),
    do: binary_part(text, byte_size(start), byte_size(text) - byte_size(start))

  # A number too large for a float is an error: Elixir has no infinity.
  defp float(digits, text) do
    case Float.parse(digits) do
      {value, ""} -> value
      _ -> broken(text)
    end
  end
end
