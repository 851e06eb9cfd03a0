defmodule Evenground.Main do
  @moduledoc "Train one network of docs/specification.md with Axon and write its events (docs/protocol.md)."

  alias Evenground.{Adam, Arguments, Backend, Batches, CLI, Events, Network, Parity, Training}

  # engine.sh applies `keep_freed_memory`: it must be set before the process starts.
  @options %{"backend" => "exla", "keep_freed_memory" => false, "preallocate" => false, "tf32" => false}
  @parity_options Map.merge(@options, %{"adam_epsilon" => 1.0e-7, "batch_norm_momentum" => 0.99})
  # Initial weights and dropout must not be drawn from the same seed.
  @dropout_seed 1_000_000

  @doc "The command `train` of engine.sh."
  @spec train([String.t()]) :: no_return
  def train(argv), do: CLI.run(fn -> argv |> Arguments.training(@options) |> run() end)

  @doc "The command `parity` of engine.sh."
  @spec parity([String.t()]) :: no_return
  def parity(argv), do: CLI.run(fn -> argv |> Arguments.parity(@parity_options) |> Parity.run() end)

  @doc """
  The command `check` of engine.sh: whether the backend of these options starts.

  It starts on the processor even for a GPU: so it takes no GPU memory, and preflight checks GPUs itself.
  """
  @spec check([String.t()]) :: no_return
  def check(argv) do
    CLI.check(fn ->
      argv |> Arguments.check(@options) |> Map.put(:accelerator, "cpu") |> Backend.configure()
    end)
  end

  @doc "Whether EXLA loads and compiles, on the processor: for the test of an image."
  @spec probe() :: no_return
  def probe do
    CLI.run(fn ->
      Backend.configure(%{options: @options, accelerator: "cpu"})
      found = Nx.Defn.jit_apply(&Nx.exp/1, [Nx.tensor(1.0)]) |> Nx.to_number()
      if abs(found - :math.exp(1)) > 1.0e-5, do: raise("EXLA says that exp(1) is #{found}")
      IO.puts("EXLA compiles and computes")
    end)
  end

  defp run(given) do
    device = Backend.configure(given)
    events = Events.open!(given.events)

    Events.emit(events, "start",
      engine: "axon",
      versions: Backend.versions(),
      device: device,
      options: given.options
    )

    Events.emit(events, "load_start", [])
    data = Batches.load(given, given.train_limit, given.test_limit)
    Events.emit(events, "load_end", train_examples: data.train_count, test_examples: data.test_count)

    model = Network.build(given.network, data.shape, data.classes, seed: given.seed + @dropout_seed)
    state = Training.train(model, Adam.adam(given.learning_rate), data, given, events)
    Training.evaluate(model, state, data, given, events)

    Process.sleep(round(1000 * given.linger_s))
    Events.emit(events, "linger_end", linger_s: given.linger_s)
    Events.emit(events, "end", [])
  end
end
