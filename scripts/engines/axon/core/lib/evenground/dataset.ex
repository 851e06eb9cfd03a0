defmodule Evenground.Dataset do
  @moduledoc "A prepared dataset in memory, images and labels still as uint8; scaling is the trainer's."

  alias Evenground.{Error, FileError, Json, Npy}

  @enforce_keys [
    :train_images,
    :train_labels,
    :train_count,
    :test_images,
    :test_labels,
    :test_count,
    :shape,
    :classes
  ]
  defstruct @enforce_keys

  @typedoc "`shape` is height, width and channels of one image, `classes` how many there are."
  @type t :: %__MODULE__{
          train_images: binary(),
          train_labels: binary(),
          train_count: pos_integer(),
          test_images: binary(),
          test_labels: binary(),
          test_count: pos_integer(),
          shape: {pos_integer(), pos_integer(), pos_integer()},
          classes: pos_integer()
        }

  @doc """
  Reads a prepared folder; of each split only the first examples up to a limit, `nil` for all.

  Raises Evenground.Error if a file is missing or broken, files disagree, or there is no full batch.
  """
  @spec load!(Path.t(), pos_integer(), pos_integer() | nil, pos_integer() | nil) :: t()
  def load!(folder, batch_size, train_limit \\ nil, test_limit \\ nil) do
    case read(folder, train_limit, test_limit) do
      {:ok, dataset} ->
        full_batch!(dataset, batch_size)

      {:error, what} ->
        Error.raise!("cannot read the dataset: #{what}", folder, "prepare it again")
    end
  end

  defp read(folder, train_limit, test_limit) do
    with {:ok, classes} <- classes(folder),
         {:ok, train} <- split(folder, "train", train_limit, classes),
         {:ok, test} <- split(folder, "test", test_limit, classes),
         :ok <- same_shape(train, test) do
      {:ok, dataset(train, test, classes)}
    end
  end

  defp dataset(train, test, classes) do
    %__MODULE__{
      train_images: train.images,
      train_labels: train.labels,
      train_count: train.count,
      test_images: test.images,
      test_labels: test.labels,
      test_count: test.count,
      shape: train.shape,
      classes: classes
    }
  end

  defp full_batch!(%{train_count: count} = dataset, batch_size) when count >= batch_size,
    do: dataset

  defp full_batch!(%{train_count: count}, batch_size) do
    Error.raise!("there is no full batch", "--batch-size #{batch_size}", "give at most #{count}")
  end

  defp classes(folder) do
    with {:ok, text} <- folder |> Path.join("dataset.json") |> File.read(),
         {:ok, %{"classes" => [_ | _] = classes}} <- Json.decode(text) do
      {:ok, length(classes)}
    else
      {:ok, _other} ->
        {:error, "dataset.json: no classes"}

      {:error, reason} when is_atom(reason) ->
        {:error, "dataset.json: #{FileError.words(reason)}"}

      {:error, what} ->
        {:error, "dataset.json: #{what}"}
    end
  end

  defp split(folder, name, limit, classes) do
    with {:ok, images} <- array(folder, "#{name}_images.npy", 4),
         {:ok, labels} <- array(folder, "#{name}_labels.npy", 1),
         :ok <- same_count(name, elem(images.shape, 0), elem(labels.shape, 0)),
         split = first(images, labels, limit),
         :ok <- in_range(name, split.labels, classes) do
      {:ok, split}
    end
  end

  defp array(folder, file, dimensions) do
    case folder |> Path.join(file) |> Npy.read() do
      {:ok, %{type: {:u, 8}, shape: shape} = array} when tuple_size(shape) == dimensions ->
        if Npy.size(shape) > 0, do: {:ok, array}, else: {:error, "#{file}: it is empty"}

      {:ok, array} ->
        {:error, "#{file}: #{described(array)}, not uint8 of #{dimensions} dimensions"}

      {:error, what} ->
        {:error, "#{file}: #{what}"}
    end
  end

  defp described(%{type: type, shape: shape}) do
    "#{Map.fetch!(%{{:u, 8} => "uint8", {:f, 32} => "float32"}, type)} #{Npy.shape_text(shape)}"
  end

  defp same_count(_name, count, count), do: :ok

  defp same_count(name, images, labels),
    do: {:error, "#{name}: #{images} images, #{labels} labels"}

  defp same_shape(%{shape: shape}, %{shape: shape}), do: :ok

  defp same_shape(train, test) do
    {:error, "train images of #{Npy.shape_text(train.shape)}, test images of #{Npy.shape_text(test.shape)}"}
  end

  defp first(images, labels, limit) do
    {all, height, width, channels} = images.shape
    count = min(all, limit || all)

    %{
      images: binary_part(images.data, 0, count * height * width * channels),
      labels: binary_part(labels.data, 0, count),
      count: count,
      shape: {height, width, channels}
    }
  end

  defp in_range(name, labels, classes) do
    case for(<<label <- labels>>, reduce: 0, do: (largest -> max(label, largest))) do
      largest when largest < classes -> :ok
      largest -> {:error, "#{name}_labels.npy: label #{largest}, but #{classes} classes"}
    end
  end
end
