// Whole runs of a fraction of a second each, against scripted servers.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "harness/load/load.h"
#include "tests/catch.h"
#include "tests/harness/load/scripted_server.h"

namespace bakeoff {

inline LoadSpec spec_for(const std::string& url) {
  LoadSpec spec;
  spec.url_text = url;
  spec.url = parse_url(url);
  spec.connections = 4;
  spec.duration_ns = 200'000'000;
  spec.warmup_ns = 20'000'000;
  return spec;
}

inline LoadResult run(const LoadSpec& spec) {
  const std::atomic<bool> stop{false};
  return run_load(spec, stop);
}

// Runs against a server whose every connection follows the script.
inline LoadResult run_against(
    ScriptedServer::Script script, std::function<void(LoadSpec&)> change = [](LoadSpec&) {}) {
  ScriptedServer server(std::move(script));
  LoadSpec spec = spec_for(server.url());
  change(spec);
  return run(spec);
}

// Only errors of one cause, and at least one.
inline void require_only(const LoadResult& result, LoadError error) {
  INFO(name_of(error));
  REQUIRE(result.recorder.errors(error) > 0);
  REQUIRE(result.recorder.errors() == result.recorder.errors(error));
}

}  // namespace bakeoff
