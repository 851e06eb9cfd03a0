defmodule Evenground.Exla do
  @moduledoc """
  Starts EXLA's application with the clients that it needs, or says why it does not start.

  Its modules are called by name only: the engine is compiled without EXLA if its packages are not available.
  """

  alias Evenground.Error

  @where "--option backend=exla"
  @without "or take the option backend=binary"
  @for_cuda "build it with XLA_TARGET=cuda12 sh scripts/engines/axon/engine.sh build, or take --accelerator cpu"
  # Messages of a build for CUDA: about the driver's library, and about those of NVIDIA's wheels.
  @driver ~r/\blibcuda\.so[^\s:']*: cannot open shared object file/
  @cuda_library ~r/\b(libcu|libnv|libnccl|nvshmem)[^\s:']*: cannot open shared object file/

  @doc """
  Start EXLA, and return the name of the client that computes, `:host` or `:cuda`.

  `preallocate`: whether a GPU's memory is taken at once. Raises Evenground.Error if EXLA is not there, does not
  start, or has no such client.
  """
  @spec start!(boolean(), String.t()) :: :host | :cuda
  def start!(preallocate, accelerator) do
    :exla |> Application.ensure_loaded() |> loaded!()
    clients = [host: [platform: :host], cuda: [platform: :cuda, preallocate: preallocate]]
    # After loading, which sets the application's own defaults over everything that was set before.
    Application.put_env(:exla, :clients, clients)
    Application.put_env(:exla, :preferred_clients, Keyword.keys(clients))
    :exla |> Application.ensure_all_started() |> started!()
    client = chosen!(accelerator, ask!(:get_supported_platforms, []))
    # For computations that name no client.
    Application.put_env(:exla, :preferred_clients, [client])
    ask!(:fetch!, [client])
    client
  end

  defp loaded!(:ok), do: :ok

  defp loaded!({:error, {_no_such_file, ~c"exla.app"}}) do
    Error.raise!("EXLA is not built in", @where, "build the engine with its packages, #{@without}")
  end

  defp loaded!({:error, reason}), do: fails!(Application.format_error(reason))

  defp started!({:ok, _applications}), do: :ok

  defp started!({:error, {application, reason}}) do
    fails!("#{application}: #{Application.format_error(reason)}")
  end

  defp chosen!("cpu", _platforms), do: :host
  defp chosen!("cuda", %{cuda: devices}) when devices > 0, do: :cuda

  # A build for CUDA names the platform even if there is no device.
  defp chosen!("cuda", %{cuda: _none}) do
    fix = "see what nvidia-smi -L and CUDA_VISIBLE_DEVICES say, or take --accelerator cpu"
    Error.raise!("EXLA sees no GPU", "--accelerator cuda", fix)
  end

  defp chosen!("cuda", _platforms) do
    Error.raise!("this EXLA is built for the processor only", "--accelerator cuda", @for_cuda)
  end

  defp ask!(function, arguments) do
    apply(EXLA.Client, function, arguments)
  rescue
    error -> fails!(Exception.message(error))
  catch
    :exit, reason -> fails!(Exception.format_exit(reason))
  end

  @spec fails!(String.t()) :: no_return()
  defp fails!(text) do
    # Of a module whose library was not loaded, the error is only "not available".
    fault = if text =~ "EXLA.NIF", do: library_fault()
    said = fault || without_trace(text)
    Error.raise!("EXLA does not start: #{said}", @where, "#{fix(said)}, #{@without}")
  end

  defp fix(said) do
    cond do
      said =~ @driver ->
        "it is built for CUDA and needs NVIDIA's driver: build it with XLA_TARGET=cpu where there is no GPU"

      said =~ @cuda_library ->
        "it is built for CUDA, whose libraries are in the environment axon-cuda (engine.sh --python): " <>
          "build it with XLA_TARGET=cpu where there is no GPU"

      true ->
        "fix that and build again"
    end
  end

  # Erlang tells why a library was not loaded only to its module, so it is loaded again here. A library that can be
  # loaded is refused because it belongs to another module: that answer is no fault.
  defp library_fault do
    with folder when is_list(folder) <- :code.priv_dir(:exla),
         {:error, {_kind, text}} <- :erlang.load_nif(:filename.join(folder, ~c"libexla"), 0),
         fault = List.to_string(text),
         false <- fault =~ "does not match calling module" do
      fault
    else
      _ -> nil
    end
  end

  # The lines of a stack trace begin with an application or a file.
  defp without_trace(text) do
    text
    |> String.split("\n", trim: true)
    |> Enum.map(&String.trim/1)
    |> Enum.reject(&(&1 =~ ~r/^\(\w+ [\d.]+\) |^\S+\.(ex|exs|erl):\d+: /))
    |> Enum.join(" ")
  end
end
