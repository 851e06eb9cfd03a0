defmodule Evenground.ErrorTest do
  use ExUnit.Case, async: true

  alias Evenground.Error

  test "the message says what, where and what to do" do
    assert Exception.message(Error.new("no weights", "a/b", "write them")) ==
             "error: no weights (a/b): write them"
  end

  test "it is one line whatever its parts are" do
    assert Error.new("two\nlines", " a ", "fix\r\n\tit").message == "error: two lines ( a ): fix it"
  end

  test "raise! raises it" do
    assert_raise Error, "error: a (b): c", fn -> Error.raise!("a", "b", "c") end
  end
end
