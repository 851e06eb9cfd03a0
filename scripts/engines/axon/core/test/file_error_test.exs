defmodule Evenground.FileErrorTest do
  use ExUnit.Case, async: true

  alias Evenground.{Error, FileError}

  test "reasons have words" do
    assert FileError.words(:enoent) == "no such file or directory"
  end

  test "what was written passes" do
    assert FileError.written!(:ok, "a") == :ok
  end

  test "a full disk and any other reason are told apart" do
    full = "error: disk is full (a): make room and start again"
    assert_raise Error, full, fn -> FileError.written!({:error, :enospc}, "a") end
    other = "error: cannot write: permission denied (a): name a place that can be written"
    assert_raise Error, other, fn -> FileError.written!({:error, :eacces}, "a") end
  end
end
