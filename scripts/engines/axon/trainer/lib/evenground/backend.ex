defmodule Evenground.Backend do
  @moduledoc "What tensors are computed with: EXLA on the processor or a GPU, or Nx's own binary backend."

  alias Evenground.Error

  @doc "Start and choose the backend; the device as events name it. Raises Evenground.Error where it is not there."
  @spec configure(map) :: String.t()
  def configure(given) do
    {:ok, _} = Application.ensure_all_started(:axon)
    choose(given)
  end

  defp choose(%{options: %{"backend" => "binary"}} = given) do
    if given.accelerator == "cuda" do
      Error.raise!(
        "the binary backend has no GPU",
        "--accelerator cuda",
        "take --accelerator cpu, or the backend exla"
      )
    end

    Nx.default_backend(Nx.BinaryBackend)
    Nx.Defn.default_options(compiler: Nx.Defn.Evaluator)
    "cpu"
  end

  defp choose(%{options: %{"backend" => "exla"}} = given) do
    options = given.options
    clients = [host: [platform: :host], cuda: [platform: :cuda, preallocate: options["preallocate"]]]
    Application.put_env(:exla, :clients, clients)
    start_exla()
    client = client(given.accelerator)
    Nx.default_backend({EXLA.Backend, client: client})
    # The default lets a GPU round the inputs of products to TF32.
    precision = if options["tf32"], do: :default, else: :highest
    Nx.Defn.default_options(compiler: EXLA, client: client, precision: precision)
    if client == :cuda, do: "cuda:#{gpu_name()}", else: "cpu"
  end

  defp choose(%{options: %{"backend" => other}}) do
    Error.raise!("unknown backend '#{other}'", "--option backend", "take exla or binary")
  end

  @doc "Versions of what computes, for the first event."
  @spec versions() :: keyword(String.t())
  def versions do
    apps =
      for app <- [:axon, :exla, :nx, :polaris],
          version = Application.spec(app, :vsn),
          do: {app, to_string(version)}

    apps ++ [elixir: System.version(), otp: to_string(:erlang.system_info(:otp_release))]
  end

  defp start_exla do
    case Application.ensure_all_started(:exla) do
      {:ok, _} ->
        :ok

      {:error, _} ->
        Error.raise!(
          "EXLA is not built in",
          "--option backend=exla",
          "build the engine with its packages, or take backend=binary"
        )
    end
  end

  # By name only: the engine is compiled without EXLA where its packages cannot be had.
  defp client(accelerator) do
    platforms = apply(EXLA.Client, :get_supported_platforms, [])
    cuda? = Map.get(platforms, :cuda, 0) > 0

    case {accelerator, cuda?} do
      {"cpu", _} ->
        :host

      {"auto", false} ->
        :host

      {_, true} ->
        :cuda

      {"cuda", false} ->
        Error.raise!(
          "EXLA sees no GPU",
          "--accelerator cuda",
          "take --accelerator cpu, or build with XLA_TARGET=cuda12"
        )
    end
  end

  defp gpu_name do
    case System.cmd("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"], stderr_to_stdout: true) do
      {names, 0} -> names |> String.split("\n") |> hd()
      _ -> "GPU"
    end
  rescue
    ErlangError -> "GPU"
  end
end
