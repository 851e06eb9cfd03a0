defmodule Evenground.Backend do
  @moduledoc "The backend that computes tensors: EXLA on the processor or a GPU, or Nx's binary backend."

  alias Evenground.{Card, Error, Exla}

  @doc "Start the chosen backend and return the device for the events. Raises Evenground.Error if it is not there."
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
    client = Exla.start!(options["preallocate"], given.accelerator)
    Nx.default_backend({EXLA.Backend, client: client})
    # The default lets a GPU round the inputs of products to TF32.
    precision = if options["tf32"], do: :default, else: :highest
    Nx.Defn.default_options(compiler: EXLA, client: client, precision: precision)
    if client == :cuda, do: "cuda:#{gpu_name()}", else: "cpu"
  end

  defp choose(%{options: %{"backend" => other}}) do
    Error.raise!("unknown backend '#{other}'", "--option backend", "take exla or binary")
  end

  @doc "Versions of the engine's packages, of Elixir and of Erlang, for the first event."
  @spec versions() :: keyword(String.t())
  def versions do
    packages() ++ [elixir: System.version(), otp: to_string(:erlang.system_info(:otp_release))]
  end

  # Mix puts the packages beside this code, a folder for each; most of them are pinned in a lock only.
  defp packages do
    built = :evenground_trainer |> :code.lib_dir() |> Path.join("../*/ebin/*.app") |> Path.wildcard()

    for file <- built,
        {:ok, [{:application, app, described}]} = :file.consult(file),
        not String.starts_with?(to_string(app), "evenground"),
        do: {app, to_string(described[:vsn])}
  end

  defp gpu_name do
    case listed() do
      {:ok, name} ->
        name

      {:error, reason} ->
        IO.puts(:stderr, "the GPU's name is not known: #{reason}")
        "GPU"
    end
  end

  defp listed do
    case System.cmd("nvidia-smi", ["-L"], stderr_to_stdout: true) do
      {text, 0} -> Card.name(System.get_env("CUDA_VISIBLE_DEVICES"), text)
      {text, status} -> {:error, "nvidia-smi -L ends with #{status}: #{String.trim(text)}"}
    end
  rescue
    error in ErlangError -> {:error, "nvidia-smi: #{Exception.message(error)}"}
  end
end
