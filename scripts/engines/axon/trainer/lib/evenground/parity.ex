defmodule Evenground.Parity do
  @moduledoc "Axon's command for the parity test (docs/protocol.md): the training's code, without dropout."

  alias Axon.Loop
  alias Evenground.{Adam, Backend, Batches, Json, Network, Training, Weights}

  # The specification's name of a weight -> Axon's.
  @renamed %{"moving_mean" => "mean", "moving_variance" => "var"}

  @doc "Run the test and write its results to `given.output`. Raises Evenground.Error for bad input."
  @spec run(map) :: :ok
  def run(given) do
    Backend.configure(given)
    data = Batches.load(given, given.steps * given.batch_size)

    model =
      Network.build(given.network, data.shape, data.classes,
        dropout: 0.0,
        momentum: given.options["batch_norm_momentum"]
      )

    optimiser = Adam.adam(given.learning_rate, given.options["adam_epsilon"])
    {state, losses} = steps(model, optimiser, start(model, data, given), data, given)
    write(given, losses, statistics(state), logits(model, state, data, given))
  end

  defp start(model, data, given) do
    {init, _predict} = Axon.build(model, mode: :train, seed: given.seed)
    {height, width, channels} = data.shape
    drawn = init.(Nx.template({given.batch_size, height, width, channels}, :f32), Axon.ModelState.empty())
    state = if given.weights, do: with_weights(drawn, Weights.load!(given.weights)), else: drawn
    if given.export_weights, do: Weights.save!(given.export_weights, exported(state))
    state
  end

  defp steps(model, optimiser, state, data, given) do
    batches = Batches.stream(data.train_images, data.train_labels, data.shape, given.batch_size)
    {:ok, seen} = Agent.start_link(fn -> [] end)

    trained =
      Training.loop(model, optimiser, given.seed)
      |> Loop.metric(&Network.loss/2, "step_loss", fn _before, loss, _step -> loss end)
      |> Loop.handle_event(:iteration_completed, &keep_loss(&1, seen))
      |> Loop.run(batches, state, epochs: 1)

    {trained, seen |> Agent.get(& &1) |> Enum.reverse()}
  end

  defp keep_loss(state, seen) do
    loss = Nx.to_number(state.metrics["step_loss"])
    Agent.update(seen, &[loss | &1])
    {:continue, state}
  end

  # Weights by canonical name, e.g. `norm_1.moving_mean`.
  defp named(%Axon.ModelState{data: layers}) do
    names = Map.new(@renamed, fn {ours, axons} -> {axons, ours} end)

    for {layer, weights} <- layers, layer != "dropout", {name, tensor} <- weights, into: %{} do
      {"#{layer}.#{Map.get(names, name, name)}", tensor}
    end
  end

  defp with_weights(%Axon.ModelState{} = state, loaded) do
    Weights.same!(loaded, Map.new(named(state), fn {name, tensor} -> {name, Nx.shape(tensor)} end))

    Enum.reduce(loaded, state, fn {name, npy}, state ->
      [layer, weight] = String.split(name, ".")
      tensor = npy.data |> Nx.from_binary(:f32) |> Nx.reshape(npy.shape)
      put_in(state, [Access.key!(:data), layer, Map.get(@renamed, weight, weight)], tensor)
    end)
  end

  defp exported(state) do
    Map.new(named(state), fn {name, tensor} ->
      {name, %{type: {:f, 32}, shape: Nx.shape(tensor), data: Nx.to_binary(tensor)}}
    end)
  end

  defp statistics(state) do
    for {name, tensor} <- named(state), name =~ ".moving_", into: %{}, do: {name, Nx.to_list(tensor)}
  end

  defp logits(model, state, data, given) do
    model
    |> Training.logits(state, data, given.batch_size)
    |> Enum.flat_map(fn {logits, _} -> Nx.to_list(logits) end)
  end

  defp write(given, losses, statistics, logits) do
    File.write!(given.output, Json.encode(schema: 1, losses: losses, statistics: statistics, logits: logits))
  end
end
