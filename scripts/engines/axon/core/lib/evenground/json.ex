defmodule Evenground.Json do
  @moduledoc "JSON to and from Elixir's own terms: maps with text keys, lists, texts, numbers, booleans, nil."

  alias Evenground.Error
  alias Evenground.Json.{Decoder, Encoder}

  @doc """
  A term as JSON on one line of ASCII; keyword lists are objects in their order, maps in that of their keys.

  `:nan`, `:infinity` and `:neg_infinity` become null. Raises Evenground.Error for a text that is not UTF-8.
  """
  @spec encode(term()) :: String.t()
  def encode(term), do: term |> Encoder.iodata() |> IO.iodata_to_binary()

  @doc "The term of a JSON text, or what is wrong with it."
  @spec decode(binary()) :: {:ok, term()} | {:error, String.t()}
  def decode(text), do: Decoder.decode(text)

  @doc "The term of a JSON text from `where`; raises Evenground.Error if it is broken."
  @spec decode!(binary(), String.t()) :: term()
  def decode!(text, where \\ "JSON text") do
    case decode(text) do
      {:ok, term} -> term
      {:error, what} -> Error.raise!(what, where, "write it again")
    end
  end
end
