defmodule Evenground.CLI do
  @moduledoc "How a command ends: its exit code, and a user's mistake as one line without a stack trace."

  alias Evenground.Error

  @doc """
  Calls `fun`, then halts with 0; an `Evenground.Error` becomes one line on standard error and 1.

  Any other exception passes through, so that the VM shows its stack trace and exits with 1.
  """
  @spec run(fun()) :: no_return()
  def run(fun) when is_function(fun, 0) do
    fun.()
    halt(0)
  rescue
    error in Error ->
      IO.puts(:stderr, Exception.message(error))
      halt(1)
  end

  @doc "Calls `fun` as `run/1` does; a mistake is printed to standard output, without the word `error`."
  @spec check(fun()) :: no_return()
  def check(fun) when is_function(fun, 0) do
    # Elixir logs to standard output, whose first line must be the reason.
    :logger.set_primary_config(:level, :none)
    fun.()
    halt(0)
  rescue
    error in Error ->
      error |> Exception.message() |> String.replace_prefix("error: ", "") |> IO.puts()
      halt(1)
  end

  # Asynchronous output is written first: halting drops what is still in a process's queue.
  defp halt(code) do
    if List.keymember?(Application.started_applications(), :logger, 0), do: Logger.flush()
    Enum.each([:stdio, :stderr], &IO.write(&1, ""))
    System.halt(code)
  end
end
