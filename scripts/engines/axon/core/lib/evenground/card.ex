defmodule Evenground.Card do
  @moduledoc "The name of the GPU that a process may use, from the output of `nvidia-smi -L`."

  @card ~r/^GPU \d+: (.+) \(UUID: (GPU-[^)]+)\)$/
  @instance ~r/^\s+(MIG \S+).*\(UUID: (MIG-[^)]+)\)$/

  @doc """
  The name of the card `visible` (the value of CUDA_VISIBLE_DEVICES, or nil) in the text of `nvidia-smi -L`.

  A MIG instance has its card's name and its own profile. An error says why there is no name.
  """
  @spec name(String.t() | nil, String.t()) :: {:ok, String.t()} | {:error, String.t()}
  def name(visible, listed) do
    case {chosen(listed(listed), visible), visible} do
      {[name], _} -> {:ok, name}
      {_, nil} -> {:error, "CUDA_VISIBLE_DEVICES names none of several cards"}
      {_, _} -> {:error, "nvidia-smi -L lists no '#{visible}', which is CUDA_VISIBLE_DEVICES"}
    end
  end

  # A card without instances is named by its UUID; the only card needs no name.
  defp chosen([{_uuid, name}], nil), do: [name]
  defp chosen(cards, visible), do: for({^visible, name} <- cards, do: name)

  defp listed(text) do
    {cards, _last} = text |> String.split("\n") |> Enum.flat_map_reduce(nil, &entry/2)
    cards
  end

  # The entry of one line, and the card to which following lines of instances belong.
  defp entry(line, card) do
    case {Regex.run(@card, line), Regex.run(@instance, line)} do
      {[_, name, uuid], _} -> {[{uuid, name}], name}
      {_, [_, profile, uuid]} -> {[{uuid, "#{card} #{profile}"}], card}
      _ -> {[], card}
    end
  end
end
