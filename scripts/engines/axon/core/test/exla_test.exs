defmodule Evenground.ExlaTest do
  # The stand-in is an application of this VM, of which there is one.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  alias Evenground.{Error, Exla}

  @moduletag :tmp_dir
  # As in the application of EXLA 0.13.1.
  @defaults [
    clients: [cuda: [platform: :cuda], rocm: [platform: :rocm], host: [platform: :host]],
    preferred_clients: [:cuda, :rocm, :tpu, :host]
  ]

  setup context do
    on_exit(fn ->
      capture_log(fn -> Application.stop(:exla) end)
      Application.unload(:exla)
      for module <- [EXLA.Application, EXLA.Client], do: forgotten(module)
      :code.del_path(ebin(context.tmp_dir))
    end)
  end

  defp forgotten(module) do
    :code.purge(module)
    :code.delete(module)
  end

  defp ebin(folder), do: folder |> Path.join("exla/ebin") |> String.to_charlist()

  # An application `exla` on the code path, not loaded, whose client says what it sees.
  defp built(folder, start, platforms) do
    File.mkdir_p!(ebin(folder))
    described = [vsn: ~c"0.13.1", applications: [:kernel], env: @defaults, mod: {EXLA.Application, []}]
    text = :io_lib.format("~p.~n", [{:application, :exla, described}])
    File.write!(Path.join(ebin(folder), "exla.app"), text)
    :code.add_patha(ebin(folder))

    Code.compile_string("""
    defmodule EXLA.Application do
      def start(_type, _arguments), do: #{start}
    end

    defmodule EXLA.Client do
      def get_supported_platforms, do: #{platforms}
      def fetch!(name), do: Application.fetch_env!(:exla, :clients) |> Keyword.fetch!(name)
    end
    """)
  end

  @works "Agent.start_link(fn -> nil end)"

  defp refused(preallocate, accelerator) do
    error = assert_raise Error, fn -> capture_log(fn -> Exla.start!(preallocate, accelerator) end) end
    refute error.message =~ "\n"
    error.message
  end

  defp client_options(name), do: Application.fetch_env!(:exla, :clients)[name]

  test "a GPU's memory is not taken at once, though the application brings its own clients", context do
    built(context.tmp_dir, @works, "%{host: 1, cuda: 1}")
    assert Exla.start!(false, "cuda") == :cuda
    assert client_options(:cuda) == [platform: :cuda, preallocate: false]
    assert Application.fetch_env!(:exla, :preferred_clients) == [:cuda]
  end

  test "it is taken where that is asked for", context do
    built(context.tmp_dir, @works, "%{host: 1, cuda: 1}")
    assert Exla.start!(true, "cuda") == :cuda
    assert client_options(:cuda)[:preallocate] == true
  end

  test "what was set beforehand does not stay", context do
    built(context.tmp_dir, @works, "%{host: 1, cuda: 1}")
    Application.put_env(:exla, :clients, [cuda: [platform: :cuda, preallocate: true]], persistent: true)
    Exla.start!(false, "cuda")
    assert client_options(:cuda)[:preallocate] == false
  end

  test "every preferred client is one of ours", context do
    strange =
      "Application.get_env(:exla, :preferred_clients) -- Keyword.keys(Application.get_env(:exla, :clients))"

    built(context.tmp_dir, "([] = #{strange}) && #{@works}", "%{host: 1, cuda: 1}")
    assert Exla.start!(false, "cpu") == :host
    assert Application.fetch_env!(:exla, :preferred_clients) == [:host]
  end

  test "a build for CUDA that sees no GPU computes on the processor only where that is asked for", context do
    built(context.tmp_dir, @works, "%{host: 1, cuda: 0}")
    assert Exla.start!(false, "cpu") == :host
    assert refused(false, "cuda") =~ "error: EXLA sees no GPU (--accelerator cuda): see what nvidia-smi -L"
  end

  test "a build for the processor says that it is one", context do
    built(context.tmp_dir, @works, "%{host: 1}")

    assert refused(false, "cuda") =~
             "error: this EXLA is built for the processor only (--accelerator cuda): build it with XLA_TARGET=cuda12 sh"
  end

  test "where EXLA is not there, that is the reason" do
    said = refused(false, "cpu")

    assert said =~
             "error: EXLA is not built in (--option backend=exla): build the engine with its packages, or"
  end

  test "where it is there and does not start, its own reason is told", context do
    built(context.tmp_dir, ~s|raise "the moon is full"|, "%{host: 1}")
    said = refused(false, "cpu")
    assert said =~ "error: EXLA does not start: exla: " and said =~ "the moon is full"
    refute said =~ "not built in" or said =~ "exla_test.exs:"
  end

  test "a package that EXLA needs is named", context do
    built(context.tmp_dir, @works, "%{host: 1}")
    file = Path.join(ebin(context.tmp_dir), "exla.app")
    File.write!(file, file |> File.read!() |> String.replace("kernel", "nimble_pool"))
    assert refused(false, "cpu") =~ "error: EXLA does not start: nimble_pool: could not find application file"
  end

  test "a library that cannot be loaded is named with the loader's words", context do
    built(context.tmp_dir, ~s|apply(EXLA.NIF, :start_log_sink, [])|, "%{host: 1}")
    File.mkdir_p!(Path.join(context.tmp_dir, "exla/priv"))
    File.write!(Path.join(context.tmp_dir, "exla/priv/libexla.so"), "no library")
    said = refused(false, "cpu")

    assert said =~
             ~r/EXLA does not start: Failed to load NIF library: .*libexla\.so: (file too short|invalid ELF)/

    refute said =~ "undefined"
  end

  for library <- ~w(libcudnn.so.9 libnccl.so.2 nvshmem_transport_ibrc.so.3 libnvrtc-builtins.so.12.9) do
    test "where #{library} of CUDA is not found, it is told where it is", context do
      fault = "'#{unquote(library)}: cannot open shared object file: No such file or directory'"
      built(context.tmp_dir, ~s|raise "Failed to load NIF library: #{fault}"|, "%{host: 1}")
      said = refused(false, "cpu")
      assert said =~ "'#{unquote(library)}: cannot open shared object file"
      assert said =~ "it is built for CUDA, whose libraries are in the environment axon-cuda"
    end
  end

  test "the driver's own library is none of those", context do
    fault = "'libcuda.so.1: cannot open shared object file: No such file or directory'"
    built(context.tmp_dir, ~s|raise "Failed to load NIF library: #{fault}"|, "%{host: 1}")
    said = refused(false, "cpu")
    assert said =~ "it is built for CUDA and needs NVIDIA's driver: build it with XLA_TARGET=cpu"
    refute said =~ "axon-cuda"
  end

  test "what XLA says of its platforms is told", context do
    built(context.tmp_dir, @works, ~s|raise "no driver"|)
    assert refused(false, "cuda") =~ "error: EXLA does not start: no driver (--option backend=exla)"
  end

  test "what ends XLA's own process is told", context do
    built(context.tmp_dir, @works, ~s|exit({%RuntimeError{message: "no memory"}, []})|)
    assert refused(false, "cuda") =~ ~r/EXLA does not start: .*no memory/
  end
end
