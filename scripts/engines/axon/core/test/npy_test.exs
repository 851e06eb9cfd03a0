defmodule Evenground.NpyTest do
  use ExUnit.Case, async: true

  alias Evenground.{Error, Npy}

  @moduletag :tmp_dir
  @dictionary "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }"

  # A file as NumPy writes it, from its parts.
  defp made(dictionary, data, version \\ 1) do
    length_bytes = if version == 1, do: 2, else: 4
    spaces = 64 - rem(8 + length_bytes + byte_size(dictionary) + 1, 64)
    text = dictionary <> String.duplicate(" ", spaces) <> "\n"
    <<0x93, "NUMPY", version, 0, byte_size(text)::little-size(length_bytes)-unit(8)>> <> text <> data
  end

  defp file(folder, content) do
    path = Path.join(folder, "a.npy")
    File.write!(path, content)
    path
  end

  defp refused(folder, content) do
    path = file(folder, content)
    message = Exception.message(assert_raise(Error, fn -> Npy.read!(path) end))
    assert message =~ "(#{path}): write it again as uint8 or float32 in C order"
    message
  end

  test "uint8 of both versions", %{tmp_dir: folder} do
    for version <- [1, 2] do
      path = file(folder, made(@dictionary, <<1, 2, 3, 4, 5, 6>>, version))
      assert Npy.read!(path) == %{type: {:u, 8}, shape: {2, 3}, data: <<1, 2, 3, 4, 5, 6>>}
    end
  end

  test "float32 of one dimension, of none, and empty", %{tmp_dir: folder} do
    for {shape, text, count} <- [{{2}, "(2,)", 2}, {{}, "()", 1}, {{0, 3}, "(0, 3)", 0}] do
      data = :binary.copy(<<1.5::float-32-little>>, count)
      path = file(folder, made("{'descr': '<f4', 'fortran_order': False, 'shape': #{text}, }", data))
      assert Npy.read!(path) == %{type: {:f, 32}, shape: shape, data: data}
    end
  end

  test "the order and spacing of the dictionary are free", %{tmp_dir: folder} do
    path = file(folder, made("{'shape':(2,3),'fortran_order':False,'descr':'|u1'}", "abcdef"))
    assert Npy.read!(path).shape == {2, 3}
  end

  test "the data are part of what was read, not a copy", %{tmp_dir: folder} do
    dictionary = String.replace(@dictionary, "(2, 3)", "(10000,)")
    path = file(folder, made(dictionary, :binary.copy("a", 10_000)))
    assert :binary.referenced_byte_size(Npy.read!(path).data) == File.stat!(path).size
  end

  test "a file is written byte for byte as NumPy writes it", %{tmp_dir: folder} do
    path = Path.join(folder, "a.npy")
    assert Npy.write!(path, {:u, 8}, {2, 3}, "abcdef") == :ok
    assert File.read!(path) == made(@dictionary, "abcdef")

    assert Npy.write!(path, {:f, 32}, {1}, <<0, 0, 192, 63>>) == :ok

    assert File.read!(path) ==
             made("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", <<0, 0, 192, 63>>)
  end

  test "data start at a multiple of 64 bytes whatever the shape, and come back", %{tmp_dir: folder} do
    path = Path.join(folder, "a.npy")

    for dimensions <- 0..40 do
      shape = Tuple.duplicate(1, dimensions)
      Npy.write!(path, {:u, 8}, shape, "x")
      assert rem(File.stat!(path).size - 1, 64) == 0
      assert Npy.read!(path) == %{type: {:u, 8}, shape: shape, data: "x"}
    end
  end

  test "no file, and a folder", %{tmp_dir: folder} do
    path = Path.join(folder, "none.npy")

    assert_raise Error, ~r/\Aerror: no such file or directory \(#{Regex.escape(path)}\): /, fn ->
      Npy.read!(path)
    end

    assert_raise Error, ~r/illegal operation on a directory/, fn -> Npy.read!(folder) end
  end

  test "no .npy file", %{tmp_dir: folder} do
    for content <- ["", "PK", "NUMPY" <> @dictionary, <<0x93, "NUMP">>] do
      assert refused(folder, content) =~ "error: not a .npy file ("
    end
  end

  test "another version", %{tmp_dir: folder} do
    content = <<0x93, "NUMPY", 3, 0, 0, 0, 0, 0>>
    assert refused(folder, content) =~ "error: version 3.0 of the .npy format, not 1.0 or 2.0 ("
  end

  test "a file that ends within its header", %{tmp_dir: folder} do
    whole = made(@dictionary, "")

    for bytes <- [6, 7, 8, 9, 10, 40, byte_size(whole) - 1] do
      assert refused(folder, binary_part(whole, 0, bytes)) =~ "error: the file ends within its header ("
    end
  end

  test "more or less data than the shape needs", %{tmp_dir: folder} do
    for data <- ["", "abcde", "abcdefg"] do
      assert refused(folder, made(@dictionary, data)) =~
               "error: #{byte_size(data)} bytes of data where the shape (2, 3) needs 6 ("
    end
  end

  test "Fortran order", %{tmp_dir: folder} do
    dictionary = String.replace(@dictionary, "False", "True")
    assert refused(folder, made(dictionary, "abcdef")) =~ "error: Fortran order ("
  end

  test "other types", %{tmp_dir: folder} do
    for type <- ["<i8", ">f4", "<f8", "|i1", "|b1"] do
      dictionary = String.replace(@dictionary, "|u1", type)
      assert refused(folder, made(dictionary, "abcdef")) =~ "numbers of type '#{type}', not '|u1' or '<f4'"
    end
  end

  test "a dictionary without one of its keys", %{tmp_dir: folder} do
    for {key, name} <- [{"descr", "type"}, {"fortran_order", "order"}, {"shape", "shape"}] do
      dictionary = String.replace(@dictionary, key, "other")
      assert refused(folder, made(dictionary, "abcdef")) =~ "error: no #{name} in its header ("
    end
  end

  test "data that do not fit are not written", %{tmp_dir: folder} do
    path = Path.join(folder, "a.npy")
    wanted = "error: 3 bytes of data where the shape (1,) needs 4 (#{path}): give the shape of the data"
    assert_raise Error, wanted, fn -> Npy.write!(path, {:f, 32}, {1}, "abc") end
    refute File.exists?(path)
  end

  test "a place that cannot be written, a full disk", %{tmp_dir: folder} do
    path = Path.join(folder, "no/such/a.npy")
    wanted = "error: cannot write: no such file or directory (#{path}): name a place that can be written"
    assert_raise Error, wanted, fn -> Npy.write!(path, {:u, 8}, {1}, "a") end
    assert_raise Error, ~r/disk is full/, fn -> Npy.write!("/dev/full", {:u, 8}, {1}, "a") end
  end
end
