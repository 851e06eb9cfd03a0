defmodule Evenground.CLITest do
  use ExUnit.Case, async: true

  # A VM of its own, for the code under test ends it.
  defp ended(code, standard_error, command \\ "run") do
    ebin = Evenground.CLI |> :code.which() |> Path.dirname()
    script = ~s(exec "$0" "$@" 2>#{standard_error})
    elixir = System.find_executable("elixir")

    System.cmd("sh", ["-c", script, elixir, "-pa", ebin, "-e", "Evenground.CLI.#{command}(fn -> #{code} end)"])
  end

  test "success is exit code 0 and prints everything" do
    {printed, code} = ended(~S[for n <- 1..3000, do: IO.puts(n)], "&1")
    assert code == 0
    assert printed == Enum.map_join(1..3000, &"#{&1}\n")
  end

  test "a user's mistake is one line on standard error and exit code 1" do
    raising = ~S[Evenground.Error.raise!("no weights", "a", "write them")]
    assert ended(raising, "&1") == {"error: no weights (a): write them\n", 1}
    assert ended(raising, "/dev/null") == {"", 1}
  end

  test "what was printed before a mistake is not lost" do
    raising = ~S[IO.puts("before"); Evenground.Error.raise!("a", "b", "c")]
    assert ended(raising, "/dev/null") == {"before\n", 1}
  end

  test "a check says what is missing on standard output, and nothing where all is there" do
    raising = ~S[Evenground.Error.raise!("no EXLA", "backend", "build it")]
    assert ended(raising, "/dev/null", "check") == {"no EXLA (backend): build it\n", 1}
    assert ended(":ok", "&1", "check") == {"", 0}

    assert ended(":logger.error(~c\"noise\"); #{raising}", "&1", "check") ==
             {"no EXLA (backend): build it\n", 1}
  end

  test "any other exception keeps its stack trace and is exit code 1" do
    {printed, code} = ended(~S[String.to_integer("x")], "&1")
    assert code == 1
    assert printed =~ "(ArgumentError)" and printed =~ "binary_to_integer"
    refute printed =~ "error: "
  end
end
