defmodule Evenground.Adam do
  @moduledoc """
  Adam with epsilon outside the bias correction, as in Keras.

  Source: Kingma and Ba 2015, the form at the end of section 2. Polaris has Algorithm 1, with epsilon
  inside: with the same number it is another optimiser.
  """

  import Nx.Defn
  import Polaris.Shared, only: [deep_merge: 3, zeros_like: 1]

  @b1 0.9
  @b2 0.999

  @doc "The optimiser as `Axon.Loop.trainer/4` takes it."
  @spec adam(float, float) :: {fun, fun}
  def adam(learning_rate, epsilon \\ 1.0e-7) do
    {&init/1, &update(&1, &2, &3, learning_rate: learning_rate, epsilon: epsilon)}
  end

  defnp init(parameters) do
    %{m: zeros_like(parameters), v: zeros_like(parameters), count: Nx.tensor(0)}
  end

  defnp update(gradients, state, _parameters, opts \\ []) do
    count = state.count + 1
    step = Nx.as_type(count, :f32)
    m = deep_merge(state.m, gradients, fn m, g -> m + (g - m) * (1 - @b1) end)
    v = deep_merge(state.v, gradients, fn v, g -> v + (g * g - v) * (1 - @b2) end)
    rate = opts[:learning_rate] * Nx.sqrt(1 - Nx.pow(@b2, step)) / (1 - Nx.pow(@b1, step))
    updates = deep_merge(m, v, fn m, v -> -rate * m / (Nx.sqrt(v) + opts[:epsilon]) end)
    {updates, %{m: m, v: v, count: count}}
  end
end
