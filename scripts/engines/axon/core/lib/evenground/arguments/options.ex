defmodule Evenground.Arguments.Options do
  @moduledoc "An engine's own options: `--option KEY=VALUE`, of the types of their defaults."

  alias Evenground.Arguments.Value
  alias Evenground.Error

  @doc "All options, those of the command line over their defaults; raises Evenground.Error for an unknown or wrong one."
  @spec over([String.t()], Enumerable.t()) :: %{String.t() => Value.t()}
  def over(given, defaults) do
    defaults = Enum.to_list(defaults)
    Enum.reduce(given, Map.new(defaults), &put(&1, &2, defaults))
  end

  defp put(given, options, defaults) do
    with [key, text] <- String.split(given, "=", parts: 2),
         {^key, default} <- List.keyfind(defaults, key, 0) do
      Map.put(options, key, typed(key, text, default))
    else
      _ ->
        fix = "give KEY=VALUE, KEY of: #{known(defaults)}"
        Error.raise!("unknown option '#{given}'", "--option", fix)
    end
  end

  defp known([]), do: "none"
  defp known(defaults), do: Enum.map_join(defaults, ", ", &elem(&1, 0))

  defp typed(key, text, default) do
    kind = Value.kind(default)

    case Value.parse(kind, text) do
      {:ok, value} ->
        value

      :error ->
        what = "'#{text}' is not #{Value.name(kind)}"
        Error.raise!(what, "--option #{key}", "its default is #{default}")
    end
  end
end
