defmodule Evenground.JsonTest do
  use ExUnit.Case, async: true

  alias Evenground.{Error, Json}

  test "plain values" do
    for {term, text} <- [
          {nil, "null"},
          {true, "true"},
          {false, "false"},
          {0, "0"},
          {-12, "-12"},
          {0.41, "0.41"},
          {1.0e-7, "1.0e-7"},
          {1.0e22, "1.0e22"},
          {-0.0, "-0.0"},
          {"a", ~S("a")},
          {:cpu, ~S("cpu")},
          {[], "[]"},
          {%{}, "{}"}
        ] do
      assert Json.encode(term) == text
    end
  end

  test "numbers that are not finite are null" do
    assert Json.encode([:nan, :infinity, :neg_infinity]) == "[null, null, null]"
  end

  test "keyword lists keep their order, maps are in that of their keys" do
    assert Json.encode(event: "a", b: %{"y" => 1, x: [z: []]}, a: 2) ==
             ~S({"event": "a", "b": {"x": {"z": []}, "y": 1}, "a": 2})

    assert Json.encode([{"b", 1}, {"a", 2}]) == ~S({"b": 1, "a": 2})
    many = Map.new(1..99, &{"key #{&1 + 100}", &1})
    assert Json.encode(many) == many |> Enum.sort() |> Json.encode()
  end

  test "texts are escaped to ASCII" do
    assert Json.encode("\"\\/\n\r\t\b\f") == ~S("\"\\/\n\r\t\b\f")
    assert Json.encode(<<0, 0x1F, 0x7F>>) == ~S("\u0000\u001f\u007f")
    assert Json.encode("é\u2028😀") == ~S("\u00e9\u2028\ud83d\ude00")
    assert Json.encode(%{"\n" => 1}) == ~S({"\n": 1})
  end

  test "a text that is not UTF-8 is refused" do
    wanted = "error: a text is not UTF-8 (<<97, 255>>): give a text that is"
    assert_raise Error, wanted, fn -> Json.encode(["ok", <<?a, 255>>]) end
  end

  test "every float comes back as it was" do
    floats = [5.0e-324, 1.7976931348623157e308, 0.1, 1 / 3, 2.0 ** 53, 1.0e23]
    assert floats |> Json.encode() |> Json.decode!() == floats
  end

  test "what is encoded is decoded" do
    term = %{"a" => [1, 2.5, nil, true, %{"b" => []}], "é\u2028😀\"\\\n" => %{}, "" => "\0"}
    assert term |> Json.encode() |> Json.decode!() == term
  end

  test "values and whitespace" do
    text = " \t\r\n{ \"a\" : [ 1 , -2.5e3, 1E5, 1e-7, 0, true,false , null ] ,\"b\":{ },\"c\":[ ]} \n"
    wanted = %{"a" => [1, -2500.0, 1.0e5, 1.0e-7, 0, true, false, nil], "b" => %{}, "c" => []}
    assert Json.decode!(text) == wanted
  end

  test "whole numbers may be of any size and are exact" do
    assert Json.decode!("1795480700968003123") == 1_795_480_700_968_003_123
    assert Json.decode!("123456789012345678901234567890") == 123_456_789_012_345_678_901_234_567_890
  end

  test "escapes, with surrogates" do
    assert Json.decode!(~S("\"\\\/\n\r\t\b\f")) == "\"\\/\n\r\t\b\f"
    assert Json.decode!(~S("\u00e9\u00E9\ud83d\uDE00\u0000")) == "éé😀\0"
    assert Json.decode!(~S("é😀")) == "é😀"
  end

  test "of two equal keys the last counts" do
    assert Json.decode!(~S({"a": 1, "a": 2})) == %{"a" => 2}
  end

  test "deep nesting" do
    depth = 10_000
    text = String.duplicate("[", depth) <> String.duplicate("]", depth)
    assert text |> Json.decode!() |> Json.encode() == text
  end

  for text <-
        ["", " ", "{", "[", "[1", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}"] ++
          ["{1:2}", "{\"a\":1 \"b\":2}", "01", "1.", ".5", "+1", "-", "1e", "0x1", "nul", "True", "NaN"] ++
          ["Infinity", "1e999", "[1] 2", "'a'", "\"a", "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\u+123\""] ++
          [
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ud83d\\u\"",
            "\\",
            "\uFEFF1",
            <<?", 255, ?">>
          ] do
    test "#{inspect(text)} is broken" do
      assert_raise Error, ~r/\Aerror: broken JSON.* \(a\.json\): write it again\z/, fn ->
        Json.decode!(unquote(text), "a.json")
      end
    end
  end

  test "where it is broken is said" do
    assert Json.decode(~S({"a": [1, x]})) == {:error, "broken JSON at byte 10 of 13"}
  end
end
