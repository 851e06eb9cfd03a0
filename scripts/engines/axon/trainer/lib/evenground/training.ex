defmodule Evenground.Training do
  @moduledoc "Training with `Axon.Loop`, its events, and the evaluation (docs/protocol.md)."

  alias Axon.Loop
  alias Evenground.{Batches, Events, Network}

  @doc """
  The loop of both the training and the parity test.

  Axon's metric "loss" is the mean of all steps since the first epoch, one step late, so the loss has another name
  here. Axon's accuracy is a mean of means, so correct answers are counted instead.
  """
  @spec loop(Axon.t(), {fun, fun}, integer) :: Loop.t()
  def loop(model, optimiser, seed) do
    model
    |> Loop.trainer(&Network.loss/2, optimiser, seed: seed, log: 0)
    |> Loop.metric(&Network.loss/2, "batch_loss")
    |> Loop.metric(&Network.correct/2, "correct", :running_sum)
  end

  @doc "Train all epochs with their events; returns the trained state."
  @spec train(Axon.t(), {fun, fun}, map, map, Events.t()) :: Axon.ModelState.t()
  def train(model, optimiser, data, given, events) do
    batches = Batches.stream(data.train_images, data.train_labels, data.shape, given.batch_size)
    examples = data.train_count - rem(data.train_count, given.batch_size)

    state =
      loop(model, optimiser, given.seed)
      |> Loop.handle_event(:started, &started(&1, given, events))
      |> Loop.handle_event(:epoch_started, &epoch_started(&1, events))
      |> Loop.handle_event(:iteration_completed, &first_batch(&1, events), :first)
      |> Loop.handle_event(:epoch_completed, &epoch_completed(&1, examples, events))
      |> Loop.run(batches, Axon.ModelState.empty(), epochs: given.epochs)

    Events.emit(events, "train_end", [])
    state
  end

  defp started(state, given, events) do
    fields = Keyword.new(Map.take(given, [:seed, :epochs, :batch_size, :network]))
    Events.emit(events, "train_start", fields ++ [parameters: parameters(state.step_state.model_state)])
    {:continue, state}
  end

  defp epoch_started(state, events) do
    Events.emit(events, "epoch_start", epoch: state.epoch + 1)
    {:continue, state}
  end

  defp first_batch(%{epoch: 0, iteration: 0} = state, events) do
    # To the host before the clock is read: Nx returns before the device is done.
    loss = Nx.to_number(state.metrics["batch_loss"])
    Events.emit(events, "first_batch_end", epoch: 1, loss: loss)
    {:continue, state}
  end

  defp first_batch(state, _events), do: {:continue, state}

  defp epoch_completed(state, examples, events) do
    loss = Nx.to_number(state.metrics["batch_loss"])
    accuracy = Nx.to_number(state.metrics["correct"]) / examples

    Events.emit(events, "epoch_end",
      epoch: state.epoch + 1,
      loss: loss,
      accuracy: accuracy,
      examples: examples
    )

    {:continue, state}
  end

  @doc "Count the correct answers on all test examples in inference mode."
  @spec evaluate(Axon.t(), Axon.ModelState.t(), map, map, Events.t()) :: :ok
  def evaluate(model, state, data, given, events) do
    Events.emit(events, "evaluate_start", [])
    correct = logits(model, state, data, given.batch_size) |> Enum.map(&correct_count/1) |> Enum.sum()

    Events.emit(events, "evaluate_end",
      accuracy: correct / data.test_count,
      correct: correct,
      examples: data.test_count
    )
  end

  defp correct_count({logits, labels}), do: Nx.to_number(Network.correct(labels, logits))

  @doc "Logits and labels of all test examples, batch by batch, the short last one too."
  @spec logits(Axon.t(), Axon.ModelState.t(), map, pos_integer) :: Enumerable.t()
  def logits(model, state, data, batch_size) do
    {_init, predict} = Axon.build(model, mode: :inference)

    data.test_images
    |> Batches.stream(data.test_labels, data.shape, batch_size, leftover: :keep)
    |> Stream.map(fn {images, labels} -> {predict.(state, images), labels} end)
  end

  defp parameters(state) do
    state
    |> Axon.ModelState.trainable_parameters()
    |> Enum.flat_map(fn {_layer, weights} -> Map.values(weights) end)
    |> Enum.map(&Nx.size/1)
    |> Enum.sum()
  end
end
