defmodule Evenground.DatasetTest do
  use ExUnit.Case, async: true

  alias Evenground.{Dataset, Error, Npy}

  @moduletag :tmp_dir

  # Five training and two test images of 2x3x1; each test spoils one thing.
  setup %{tmp_dir: folder} do
    pixels = for pixel <- 0..29, into: <<>>, do: <<pixel>>
    array(folder, "train_images", {5, 2, 3, 1}, pixels)
    array(folder, "train_labels", {5}, <<0, 1, 2, 1, 0>>)
    array(folder, "test_images", {2, 2, 3, 1}, binary_part(pixels, 0, 12))
    array(folder, "test_labels", {2}, <<2, 0>>)
    json(folder, ~S({"name": "small", "classes": ["a", "b", "c"]}))
  end

  defp array(folder, name, shape, data, type \\ {:u, 8}) do
    Npy.write!(Path.join(folder, "#{name}.npy"), type, shape, data)
  end

  defp json(folder, text), do: File.write!(Path.join(folder, "dataset.json"), text)

  defp refused(folder) do
    Exception.message(assert_raise(Error, fn -> Dataset.load!(folder, 2) end))
  end

  defp assert_refused(folder, what) do
    assert refused(folder) == "error: cannot read the dataset: #{what} (#{folder}): prepare it again"
  end

  test "a prepared folder", %{tmp_dir: folder} do
    dataset = Dataset.load!(folder, 5)
    assert %{train_count: 5, test_count: 2, shape: {2, 3, 1}, classes: 3} = dataset
    assert dataset.train_images == for(pixel <- 0..29, into: <<>>, do: <<pixel>>)
    assert dataset.train_labels == <<0, 1, 2, 1, 0>>
    assert byte_size(dataset.test_images) == 12
    assert dataset.test_labels == <<2, 0>>
  end

  test "of the training examples only the first ones exist", %{tmp_dir: folder} do
    dataset = Dataset.load!(folder, 2, 3)
    assert %{train_count: 3, test_count: 2, train_labels: <<0, 1, 2>>} = dataset
    assert dataset.train_images == for(pixel <- 0..17, into: <<>>, do: <<pixel>>)
    assert Dataset.load!(folder, 2, 99) == Dataset.load!(folder, 2)
  end

  test "of the test examples, too", %{tmp_dir: folder} do
    dataset = Dataset.load!(folder, 2, nil, 1)
    assert %{train_count: 5, test_count: 1, test_labels: <<2>>} = dataset
    assert byte_size(dataset.test_images) == 6
    assert Dataset.load!(folder, 2, nil, 99) == Dataset.load!(folder, 2)
  end

  test "there must be a full batch, also after the limit", %{tmp_dir: folder} do
    wanted = "error: there is no full batch (--batch-size 6): give at most 5"
    assert_raise Error, wanted, fn -> Dataset.load!(folder, 6) end
    wanted = "error: there is no full batch (--batch-size 4): give at most 3"
    assert_raise Error, wanted, fn -> Dataset.load!(folder, 4, 3) end
  end

  test "no such folder" do
    assert_refused("no/such/folder", "dataset.json: no such file or directory")
  end

  test "every file is needed", %{tmp_dir: folder} do
    for name <- ~w(train_images train_labels test_images test_labels) do
      path = Path.join(folder, "#{name}.npy")
      content = File.read!(path)
      File.rm!(path)
      assert_refused(folder, "#{name}.npy: no such file or directory")
      File.write!(path, content)
    end
  end

  test "dataset.json is broken or has no classes", %{tmp_dir: folder} do
    json(folder, "{")
    assert_refused(folder, "dataset.json: broken JSON at byte 1 of 1")

    for text <- ["{}", "[]", "1", ~S({"classes": []}), ~S({"classes": 10})] do
      json(folder, text)
      assert_refused(folder, "dataset.json: no classes")
    end
  end

  test "an array is broken", %{tmp_dir: folder} do
    File.write!(Path.join(folder, "test_labels.npy"), "PK")
    assert_refused(folder, "test_labels.npy: not a .npy file")
  end

  test "an array of another type or number of dimensions", %{tmp_dir: folder} do
    array(folder, "train_labels", {1}, <<0::32>>, {:f, 32})
    assert_refused(folder, "train_labels.npy: float32 (1,), not uint8 of 1 dimensions")
    array(folder, "train_images", {5, 6}, <<0::240>>)
    assert_refused(folder, "train_images.npy: uint8 (5, 6), not uint8 of 4 dimensions")
  end

  test "no images at all", %{tmp_dir: folder} do
    array(folder, "test_images", {0, 2, 3, 1}, "")
    array(folder, "test_labels", {0}, "")
    assert_refused(folder, "test_images.npy: it is empty")
  end

  test "as many labels as images", %{tmp_dir: folder} do
    array(folder, "train_labels", {4}, <<0, 1, 2, 1>>)
    assert_refused(folder, "train: 5 images, 4 labels")
    array(folder, "train_labels", {5}, <<0, 1, 2, 1, 0>>)
    array(folder, "test_labels", {3}, <<0, 1, 2>>)
    assert_refused(folder, "test: 2 images, 3 labels")
  end

  test "both splits have images of one shape", %{tmp_dir: folder} do
    array(folder, "test_images", {2, 3, 2, 1}, <<0::96>>)
    assert_refused(folder, "train images of (2, 3, 1), test images of (3, 2, 1)")
  end

  test "labels are below the number of classes", %{tmp_dir: folder} do
    array(folder, "test_labels", {2}, <<0, 3>>)
    assert_refused(folder, "test_labels.npy: label 3, but 3 classes")
    array(folder, "train_labels", {5}, <<0, 255, 2, 1, 0>>)
    assert_refused(folder, "train_labels.npy: label 255, but 3 classes")
  end
end
