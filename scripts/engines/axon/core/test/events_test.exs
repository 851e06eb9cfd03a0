defmodule Evenground.EventsTest do
  use ExUnit.Case, async: true

  alias Evenground.{Error, Events, Json}

  @moduletag :tmp_dir

  setup %{tmp_dir: folder}, do: %{path: Path.join(folder, "events.jsonl")}

  defp lines(path), do: path |> File.read!() |> String.split("\n", trim: true) |> Enum.map(&Json.decode!/1)

  test "a line is in the file when emit returns, with the time it was called", %{path: path} do
    events = Events.open!(path)
    before = System.os_time(:nanosecond)
    assert Events.emit(events, "epoch_end", epoch: 1, loss: 0.5, accuracy: :nan) == :ok
    assert [%{"t_unix_ns" => time} = line] = lines(path)
    assert time in before..System.os_time(:nanosecond)

    assert Map.delete(line, "t_unix_ns") == %{
             "event" => "epoch_end",
             "epoch" => 1,
             "loss" => 0.5,
             "accuracy" => nil
           }
  end

  test "event, time and fields keep their order", %{path: path} do
    events = Events.open!(path)
    Events.emit(events, :start, versions: %{"b" => "1", "a" => "2"}, device: "cpu", options: %{})

    assert File.read!(path) =~
             ~r/\A\{"event": "start", "t_unix_ns": \d{19}, "versions": \{"a": "2", "b": "1"\}, "device": "cpu", "options": \{\}\}\n\z/
  end

  test "events without fields, appended to what is there", %{path: path} do
    File.write!(path, ~s({"event": "earlier"}\n))
    path |> Events.open!() |> Events.emit("load_start")
    path |> Events.open!() |> Events.emit("load_end")
    assert for(line <- lines(path), do: line["event"]) == ["earlier", "load_start", "load_end"]
  end

  test "a thousand events in a row are in order", %{path: path} do
    events = Events.open!(path)
    for number <- 1..1000, do: Events.emit(events, "e", number: number)
    written = lines(path)
    assert for(line <- written, do: line["number"]) == Enum.to_list(1..1000)
    times = for line <- written, do: line["t_unix_ns"]
    assert times == Enum.sort(times)
  end

  test "a file that cannot be opened", %{tmp_dir: folder} do
    path = Path.join(folder, "no/such/events.jsonl")
    wanted = "error: cannot open: no such file or directory (#{path}): name a file in a folder that is there"
    assert_raise Error, wanted, fn -> Events.open!(path) end
    assert_raise Error, ~r/cannot open: illegal operation on a directory/, fn -> Events.open!(folder) end
  end

  test "a full disk" do
    events = Events.open!("/dev/full")
    wanted = "error: disk is full (/dev/full): make room and start again"
    assert_raise Error, wanted, fn -> Events.emit(events, "start") end
  end
end
