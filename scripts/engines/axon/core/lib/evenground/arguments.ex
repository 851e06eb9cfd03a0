defmodule Evenground.Arguments do
  @moduledoc "The command lines of the engine protocol (docs/protocol.md)."

  alias Evenground.Arguments.{Options, Value}
  alias Evenground.Error

  # name, kind, and the default of optional arguments
  @accelerator {:one_of, ["cpu", "cuda"]}
  @shared [
    {:dataset, :text},
    {:network, {:one_of, ["mlp", "cnn"]}},
    {:batch_size, :count},
    {:learning_rate, :positive},
    {:seed, :integer},
    {:threads, :count},
    {:accelerator, @accelerator}
  ]
  @training @shared ++
              [
                {:epochs, :count},
                {:linger_s, :duration, 0.0},
                {:events, :text},
                {:train_limit, :count, nil},
                {:test_limit, :count, nil}
              ]
  @parity @shared ++
            [
              {:steps, :count},
              {:output, :text},
              {:weights, :text, nil},
              {:export_weights, :text, nil}
            ]
  @check [{:accelerator, @accelerator, "cpu"}]

  @typedoc "Every argument by its name, and under `:options` all options of the engine by theirs."
  @type t :: %{
          required(:options) => %{String.t() => Value.t()},
          optional(atom()) => String.t() | number() | nil
        }

  @doc """
  The command line of a training; `defaults` are the engine's options by name (a map, or pairs in order).

  Raises Evenground.Error for an argument that is missing, unknown or wrong.
  """
  @spec training([String.t()], Enumerable.t()) :: t()
  def training(argv, defaults), do: parse(argv, @training, defaults)

  @doc "The command line of the parity test; `defaults` and errors as in `training/2`."
  @spec parity([String.t()], Enumerable.t()) :: t()
  def parity(argv, defaults), do: parse(argv, @parity, defaults)

  @doc "The command line of the check; `defaults` and errors as in `training/2`."
  @spec check([String.t()], Enumerable.t()) :: t()
  def check(argv, defaults), do: parse(argv, @check, defaults)

  defp parse(argv, specifications, defaults) do
    given = pairs(argv, ["--option" | Enum.map(specifications, &flag/1)])
    {options, arguments} = Enum.split_with(given, &match?({"--option", _}, &1))
    # Of an argument given twice the last one counts, as in Python's argparse.
    texts = Map.new(arguments)
    complete!(texts, specifications)

    specifications
    |> Map.new(&{elem(&1, 0), value(&1, texts)})
    |> Map.put(:options, options |> Enum.map(&elem(&1, 1)) |> Options.over(defaults))
  end

  defp flag(specification) do
    "--" <> (specification |> elem(0) |> Atom.to_string() |> String.replace("_", "-"))
  end

  defp pairs([], _flags), do: []

  defp pairs([word | rest], flags) do
    [name | text] = String.split(word, "=", parts: 2)

    if name not in flags do
      Error.raise!(
        "unknown argument '#{word}'",
        "command line",
        "give only: #{Enum.join(flags, ", ")}"
      )
    end

    {value, rest} = following(name, text, rest)
    [{name, value} | pairs(rest, flags)]
  end

  # The text comes after "=" or as the next word, which must not look like an argument.
  defp following(_name, [text], rest), do: {text, rest}
  defp following(name, [], ["--" <> _ | _]), do: no_value(name)
  defp following(name, [], []), do: no_value(name)
  defp following(_name, [], [text | rest]), do: {text, rest}

  @spec no_value(String.t()) :: no_return()
  defp no_value(name), do: Error.raise!("no value", name, "give one after it")

  defp complete!(texts, specifications) do
    required = for {_, _} = specification <- specifications, do: flag(specification)

    case Enum.reject(required, &is_map_key(texts, &1)) do
      [] ->
        :ok

      missing ->
        Error.raise!("missing: #{Enum.join(missing, ", ")}", "command line", "give them too")
    end
  end

  defp value(specification, texts) do
    name = flag(specification)

    case {texts, specification} do
      {%{^name => text}, _} -> typed(elem(specification, 1), text, name)
      {_, {_, _, default}} -> default
    end
  end

  defp typed({:one_of, choices}, text, name) do
    if text in choices,
      do: text,
      else: refuse(name, "unknown '#{text}'", Enum.join(choices, " or "))
  end

  defp typed(:count, text, name), do: at_least(:integer, 1, text, name)
  defp typed(:duration, text, name), do: at_least(:float, 0, text, name)

  defp typed(:positive, text, name) do
    value = typed(:float, text, name)
    if value > 0, do: value, else: refuse(name, "must be above 0, not #{text}", "a larger one")
  end

  defp typed(kind, text, name) do
    case Value.parse(kind, text) do
      {:ok, value} -> value
      :error -> refuse(name, "'#{text}' is not #{Value.name(kind)}", "a number")
    end
  end

  defp at_least(kind, least, text, name) do
    value = typed(kind, text, name)
    what = "must be at least #{least}, not #{text}"
    if value >= least, do: value, else: refuse(name, what, "a larger one")
  end

  defp refuse(name, what, wanted), do: Error.raise!(what, name, "give #{wanted}")
end
