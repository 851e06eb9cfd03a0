defmodule Evenground.ArgumentsTest do
  use ExUnit.Case, async: true

  alias Evenground.{Arguments, Error}

  @shared ~w(--dataset d --network mlp --batch-size 32 --learning-rate 0.001 --seed 7 --threads 2) ++
            ~w(--accelerator cpu)
  @training @shared ++ ~w(--epochs 3 --events e.jsonl)
  @parity @shared ++ ~w(--steps 40 --output o.json)
  @defaults [{"jit", true}, {"steps", 1}, {"rate", 0.5}, {"name", "a"}]

  defp refused(argv, defaults \\ @defaults) do
    Exception.message(assert_raise(Error, fn -> Arguments.training(argv, defaults) end))
  end

  defp without(argv, flag) do
    at = Enum.find_index(argv, &(&1 == flag))
    Enum.take(argv, at) ++ Enum.drop(argv, at + 2)
  end

  test "a training's arguments, typed, with defaults for what may be left out" do
    assert Arguments.training(@training, %{}) == %{
             dataset: "d",
             network: "mlp",
             batch_size: 32,
             learning_rate: 0.001,
             seed: 7,
             threads: 2,
             accelerator: "cpu",
             epochs: 3,
             linger_s: 0.0,
             events: "e.jsonl",
             train_limit: nil,
             test_limit: nil,
             options: %{}
           }
  end

  test "what may be left out may be given" do
    given = Arguments.training(@training ++ ~w(--linger-s 0.5 --train-limit 9 --test-limit 8), %{})
    assert %{linger_s: 0.5, train_limit: 9, test_limit: 8} = given
    assert %{linger_s: 2.0} = Arguments.training(@training ++ ~w(--linger-s 2), %{})
  end

  test "the parity test's arguments" do
    given = Arguments.parity(@parity, %{})
    assert %{steps: 40, output: "o.json", weights: nil, export_weights: nil, options: %{}} = given
    refute is_map_key(given, :epochs) or is_map_key(given, :events)

    given = Arguments.parity(@parity ++ ~w(--weights w --export-weights x), %{})
    assert %{weights: "w", export_weights: "x"} = given
  end

  test "the last of two counts, = joins, numbers may be negative or have exponents" do
    more = ["--seed", "-1", "--accelerator=cuda", "--learning-rate", "1e-05", "--dataset=a=b c"]
    given = Arguments.training(@training ++ more, %{})
    assert %{seed: -1, accelerator: "cuda", learning_rate: 1.0e-5, dataset: "a=b c"} = given
  end

  test "options are their defaults, and typed as those are" do
    assert Arguments.training(@training, @defaults).options == Map.new(@defaults)

    more = ~w(--option jit=False --option steps=4 --option rate=1e-7 --option=name=b=c)
    wanted = %{"jit" => false, "steps" => 4, "rate" => 1.0e-7, "name" => "b=c"}
    assert Arguments.training(@training ++ more, @defaults).options == wanted
    assert Arguments.parity(@parity ++ more, Map.new(@defaults)).options == wanted
  end

  test "a whole number will do for an option that is a float" do
    assert Arguments.training(@training ++ ~w(--option rate=2), @defaults).options["rate"] === 2.0
  end

  test "an unknown option is refused, the known ones are named" do
    wanted = "(--option): give KEY=VALUE, KEY of: jit, steps, rate, name"

    for given <- ["no_such=1", "jit", ""] do
      assert refused(@training ++ ["--option", given]) == "error: unknown option '#{given}' #{wanted}"
    end

    assert refused(@training ++ ~w(--option a=1), %{}) =~ "(--option): give KEY=VALUE, KEY of: none"
  end

  test "an option of another type is refused" do
    for {given, wanted} <- [
          {"jit=1", "'1' is not true or false (--option jit): its default is true"},
          {"steps=1.5", "'1.5' is not int (--option steps): its default is 1"},
          {"rate=fast", "'fast' is not float (--option rate): its default is 0.5"},
          {"rate=1e999", "'1e999' is not float (--option rate): its default is 0.5"}
        ] do
      assert refused(@training ++ ["--option", given]) == "error: " <> wanted
    end
  end

  test "every missing argument is named" do
    assert refused(@training |> without("--seed") |> without("--events")) ==
             "error: missing: --seed, --events (command line): give them too"

    assert refused([]) =~ "missing: --dataset, --network, --batch-size, --learning-rate, --seed"
  end

  test "an unknown argument is refused, also one of the other command" do
    for word <- ["--no-such", "stray", "--steps", "--epoch"] do
      said = refused(@training ++ [word, "1"])
      assert said =~ "error: unknown argument '#{word}' (command line): give only: --option, --dataset"
    end

    assert_raise Error, ~r/unknown argument '--epochs'/, fn ->
      Arguments.parity(@parity ++ ~w(--epochs 1), %{})
    end
  end

  test "the check takes options, the accelerator and nothing else" do
    wanted = %{options: %{"feed" => "b"}, accelerator: "cpu"}
    assert Arguments.check(~w(--option feed=b), %{"feed" => "a"}) == wanted
    assert Arguments.check(~w(--accelerator cuda), %{}).accelerator == "cuda"

    assert_raise Error, ~r/unknown argument '--epochs' \(command line\): give only: --option, --accel/, fn ->
      Arguments.check(~w(--epochs 1), %{})
    end
  end

  test "an argument without its value is refused" do
    wanted = "error: no value (--seed): give one after it"
    assert refused(@training ++ ["--seed"]) == wanted
    assert refused(@training ++ ["--seed", "--threads", "2"]) == wanted
  end

  test "counts start at 1" do
    for flag <- ~w(--epochs --batch-size --threads --train-limit --test-limit), count <- ~w(0 -1) do
      assert refused(@training ++ [flag, count]) ==
               "error: must be at least 1, not #{count} (#{flag}): give a larger one"
    end

    assert_raise Error, ~r/must be at least 1, not 0 \(--steps\)/, fn ->
      Arguments.parity(@parity ++ ~w(--steps 0), %{})
    end
  end

  test "a rate is above 0, a duration not below" do
    for rate <- ~w(0 -0.5 -0.0) do
      assert refused(@training ++ ["--learning-rate", rate]) ==
               "error: must be above 0, not #{rate} (--learning-rate): give a larger one"
    end

    assert refused(@training ++ ~w(--linger-s -1)) ==
             "error: must be at least 0, not -1 (--linger-s): give a larger one"
  end

  test "what is no number is refused" do
    for {flag, text, kind} <- [
          {"--epochs", "two", "int"},
          {"--epochs", "2.5", "int"},
          {"--seed", "", "int"},
          {"--learning-rate", "nan", "float"},
          {"--learning-rate", "inf", "float"},
          {"--linger-s", "1s", "float"}
        ] do
      assert refused(@training ++ [flag, text]) ==
               "error: '#{text}' is not #{kind} (#{flag}): give a number"
    end
  end

  test "only the networks and accelerators of the protocol" do
    assert refused(@training ++ ~w(--network rnn)) == "error: unknown 'rnn' (--network): give mlp or cnn"

    # `auto` is the pipeline's: it tells an engine what that comes to.
    for name <- ~w(tpu auto) do
      assert refused(@training ++ ["--accelerator", name]) ==
               "error: unknown '#{name}' (--accelerator): give cpu or cuda"
    end
  end
end
