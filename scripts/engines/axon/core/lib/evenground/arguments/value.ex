defmodule Evenground.Arguments.Value do
  @moduledoc "Numbers and truth values from the texts of a command line."

  @type kind :: :boolean | :integer | :float | :text
  @type t :: boolean() | integer() | float() | String.t()

  @doc "The kind of a value."
  @spec kind(t()) :: kind()
  def kind(value) when is_boolean(value), do: :boolean
  def kind(value) when is_integer(value), do: :integer
  def kind(value) when is_float(value), do: :float
  def kind(value) when is_binary(value), do: :text

  @doc "The name of a kind in messages, as in the engines written in Python."
  @spec name(kind()) :: String.t()
  def name(:boolean), do: "true or false"
  def name(:integer), do: "int"
  def name(:float), do: "float"
  def name(:text), do: "str"

  @doc "The value of a text, or `:error` if it is not of that kind."
  @spec parse(kind(), String.t()) :: {:ok, t()} | :error
  def parse(:text, text), do: {:ok, text}

  def parse(:boolean, text),
    do: Map.fetch(%{"true" => true, "false" => false}, String.downcase(text))

  def parse(:integer, text), do: text |> Integer.parse() |> whole()
  def parse(:float, text), do: text |> Float.parse() |> whole()

  defp whole({value, ""}), do: {:ok, value}
  defp whole(_rest), do: :error
end
