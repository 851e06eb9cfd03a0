defmodule Evenground.Error do
  @moduledoc "A mistake that the user can fix: what is wrong, where, and what to do about it, in one line."

  defexception [:message]

  @type t :: %__MODULE__{message: String.t()}

  @doc ~s|The error whose message is "error: WHAT (WHERE): FIX", on one line even if its parts have line breaks.|
  @spec new(String.t(), String.t(), String.t()) :: t()
  def new(what, where, fix) do
    line = "error: #{what} (#{where}): #{fix}"
    %__MODULE__{message: line |> String.split() |> Enum.join(" ")}
  end

  @doc "Raises the error of `new/3`."
  @spec raise!(String.t(), String.t(), String.t()) :: no_return()
  def raise!(what, where, fix), do: raise(new(what, where, fix))
end
