// result.json against results/schema/result.schema.json.
#include "core/base/data_dir.h"
#include "tests/catch.h"
#include "tests/results/result_schema.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

test::ResultSchema result_schema() {
  return test::ResultSchema((data_dir() / "results/schema/result.schema.json").string());
}

nlohmann::json written_result() {
  const Cell cell = sample_cell("sped", 64, 1);
  Trial spoiled = sample_trial(cell, Phase::final, 1, 20);
  spoiled.void_causes = {"the ceiling could not be read"};
  Trial again = sample_trial(cell, Phase::final, 1, 96);
  again.attempt = 1;
  again.drift = 0.01;
  again.remarks = {"no CPU figures"};
  return to_json(sample_result(
      {cell}, {sample_trial(cell, Phase::sweep, 0, 90), sample_trial(cell, Phase::final, 0, 95), spoiled, again}));
}

}  // namespace

TEST_CASE("what is written is what the schema says") { CHECK(result_schema().accepts(written_result())); }

TEST_CASE("the schema refuses what is not a result") {
  const test::ResultSchema schema = result_schema();
  const auto broken = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json result = written_result();
    result[nlohmann::json::json_pointer(pointer)] = value;
    return !schema.accepts(result);
  };
  CHECK(broken("/schema_version", 1));
  CHECK(broken("/experiment/spec_sha256", "short"));
  CHECK(broken("/experiment/ranked_by", nullptr));
  CHECK(broken("/experiment/warm_ups/0/seconds", -1));
  CHECK(broken("/cells/0/workers", 0));
  CHECK(broken("/cells/0/valid", "yes"));
  CHECK(broken("/cells/0/unheard_of", 1));
  CHECK(broken("/cells/0/summary/throughput_mbps/median", "fast"));
  CHECK(broken("/cells/0/summary/throughput_mbps", 95));
  CHECK(broken("/cells/0/summary/latency_ms/p99/n", -1));
  CHECK(broken("/cells/0/trials/0/phase", "middle"));
  CHECK(broken("/cells/0/trials/0/figures/latency_ms", nullptr));
  CHECK(broken("/cells/0/trials/0/void_causes", "none"));
  CHECK(broken("/cells/0/trials/0/valid", true));
  CHECK(broken("/cells/0/trials/0/drift", "much"));
  CHECK(broken("/cells/0/void_trials", -1));
  CHECK(broken("/cells/0/summary/latency_ms/p99/pooled", "slow"));
  CHECK(broken("/best/0/rank_from", 0));
  CHECK(broken("/best/0/of_first", nullptr));
  nlohmann::json result = written_result();
  result["cells"][0]["summary"].erase("memory_bytes");
  CHECK_FALSE(schema.accepts(result));
}
