defmodule Evenground.Network do
  @moduledoc "The two networks of docs/specification.md in Axon; they return logits (N, classes)."

  @epsilon 1.0e-3

  @doc "Network `mlp` or `cnn` for images of `shape` {H, W, C}. Options: `:dropout`, `:momentum`, `:seed` of the dropout."
  @spec build(String.t(), {pos_integer, pos_integer, pos_integer}, pos_integer, keyword) :: Axon.t()
  def build(network, {height, width, channels}, classes, opts \\ []) do
    # `trainer(seed:)` seeds the initial weights only.
    dropout = [rate: Keyword.get(opts, :dropout, 0.5), seed: Keyword.get(opts, :seed, 0), name: "dropout"]

    Axon.input("images", shape: {nil, height, width, channels})
    |> hidden(network, Keyword.get(opts, :momentum, 0.99))
    |> Axon.dropout(dropout)
    |> Axon.dense(classes, name: "dense_2")
  end

  defp hidden(images, "mlp", _momentum) do
    images
    |> Axon.flatten()
    |> Axon.dense(128, activation: :relu, name: "dense_1")
  end

  defp hidden(images, "cnn", momentum) do
    images
    |> block(32, 1, momentum)
    |> block(64, 2, momentum)
    |> Axon.flatten()
    |> Axon.dense(64, activation: :relu, name: "dense_1")
  end

  defp block(images, filters, number, momentum) do
    images
    |> Axon.conv(filters, kernel_size: 3, activation: :relu, name: "conv_#{number}")
    # Axon's own defaults are 0.1, 1.0e-5 and a drawn gamma.
    |> Axon.batch_norm(
      momentum: momentum,
      epsilon: @epsilon,
      gamma_initializer: :ones,
      name: "norm_#{number}"
    )
    |> Axon.max_pool(kernel_size: 2)
  end

  @doc "Mean cross-entropy of a batch, from logits: no probability is ever clipped."
  @spec loss(Nx.Tensor.t(), Nx.Tensor.t()) :: Nx.Tensor.t()
  def loss(labels, logits) do
    Axon.Losses.categorical_cross_entropy(labels, logits, from_logits: true, sparse: true, reduction: :mean)
  end

  @doc "How many examples of a batch have their largest logit at their label."
  @spec correct(Nx.Tensor.t(), Nx.Tensor.t()) :: Nx.Tensor.t()
  def correct(labels, logits) do
    Nx.sum(Nx.equal(Nx.argmax(logits, axis: -1, keep_axis: true), labels))
  end
end
