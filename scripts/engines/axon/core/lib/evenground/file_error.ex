defmodule Evenground.FileError do
  @moduledoc "Errors of the operating system about a file, as text for users."

  alias Evenground.Error

  @doc ~s|The text of a reason, e.g. "no such file or directory" for `:enoent`.|
  @spec words(File.posix() | atom()) :: String.t()
  def words(reason), do: reason |> :file.format_error() |> List.to_string()

  @doc "`:ok` passes; raises Evenground.Error if a file or folder could not be written."
  @spec written!(:ok | {:error, File.posix() | atom()}, Path.t()) :: :ok
  def written!(:ok, _path), do: :ok

  def written!({:error, :enospc}, path),
    do: Error.raise!("disk is full", path, "make room and start again")

  def written!({:error, reason}, path) do
    Error.raise!("cannot write: #{words(reason)}", path, "name a place that can be written")
  end
end
