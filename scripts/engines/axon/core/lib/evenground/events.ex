defmodule Evenground.Events do
  @moduledoc "Appends events to a file, one JSON object per line, each in the file when `emit/3` returns."

  alias Evenground.{Error, FileError, Json}

  @enforce_keys [:path, :file]
  defstruct @enforce_keys

  @type t :: %__MODULE__{path: Path.t(), file: :file.fd()}

  @doc """
  Opens a file to append events to it. The file is raw: only the process that opens it can write.

  Raises Evenground.Error if it cannot be opened.
  """
  @spec open!(Path.t()) :: t()
  def open!(path) do
    case :file.open(path, [:append, :raw, :binary]) do
      {:ok, file} ->
        %__MODULE__{path: path, file: file}

      {:error, reason} ->
        what = "cannot open: #{FileError.words(reason)}"
        Error.raise!(what, path, "name a file in a folder that is there")
    end
  end

  @doc """
  Writes one event now. The device must have finished what the event reports.

  Raises Evenground.Error if it cannot be written.
  """
  @spec emit(t(), String.t() | atom(), keyword()) :: :ok
  def emit(%__MODULE__{} = events, name, fields \\ []) do
    # Unchanged: if the clock was set during the training, the reader sees and corrects that.
    t_unix_ns = System.os_time(:nanosecond)
    line = Json.encode([event: name, t_unix_ns: t_unix_ns] ++ fields)
    events.file |> :file.write([line, "\n"]) |> FileError.written!(events.path)
  end
end
