defmodule EvengroundTrainer.MixProject do
  use Mix.Project

  def project do
    [
      app: :evenground_trainer,
      version: "0.1.0",
      elixir: "~> 1.17",
      deps: [{:evenground_core, path: "../core"} | deps(System.get_env("EVENGROUND_ELIXIR_SOURCES"))]
    ]
  end

  def application, do: [extra_applications: [:logger]]

  # Exact versions: docs/specification.md was checked against these. What they need in turn is in mix.lock.
  defp deps(nil) do
    [
      {:nx, "== 0.13.1"},
      {:exla, "== 0.13.1"},
      {:xla, "== 0.10.0", runtime: false},
      {:axon, "== 0.8.1"},
      {:polaris, "== 0.1.0"}
    ]
  end

  # Without a package registry: sources beside each other in one folder, and no EXLA, which needs XLA's own build.
  defp deps(sources) do
    paths = [nx: "nx/nx", axon: "axon", polaris: "polaris", complex: "complex", telemetry: "telemetry"]
    for {app, path} <- paths, do: {app, path: Path.join(sources, path), override: true}
  end
end
