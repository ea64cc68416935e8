#include "harness/load/ranks.h"

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

// Rank 0 of several whose other ranks' answers are given.
class FakeRanks : public Ranks {
 public:
  explicit FakeRanks(std::vector<std::string> others) : others_(std::move(others)) {}
  std::uint32_t number() const override { return 0; }
  std::uint32_t count() const override { return static_cast<std::uint32_t>(others_.size() + 1); }
  const std::string& host(std::uint32_t rank) const override { return hosts_[rank]; }
  std::vector<std::string> gather(const std::string& own) override {
    std::vector<std::string> all = {own};
    all.insert(all.end(), others_.begin(), others_.end());
    return all;
  }
  std::string spread(const std::string& of_rank_0) override { return told = of_rank_0; }
  std::vector<ClockOffset> compare_clocks() override { return std::vector<ClockOffset>(count()); }
  std::int64_t now_ns() const override { return 0; }

  std::string told;

 private:
  std::vector<std::string> others_;
  std::vector<std::string> hosts_ = {"c1", "c2", "c3"};
};

}  // namespace

TEST_CASE("a step that fails on one rank fails on all, in the words of its host") {
  FakeRanks fine({"f", "f"});
  CHECK_NOTHROW(together(&fine, [] {}));
  FakeRanks start({"f", "sno connection to s:80 could be opened"});
  CHECK_THROWS_WITH(together(&start, [] {}), "host c3: no connection to s:80 could be opened");
  CHECK(start.told == "shost c3: no connection to s:80 could be opened");
  FakeRanks usage({"uthere is no workload", "f"});
  CHECK_THROWS_AS(together(&usage, [] {}), UsageError);
  // What fails on all has no host's name: it is said once.
  FakeRanks all({"u--threads must be from 1", "u--threads must be from 1"});
  CHECK_THROWS_WITH(together(&all, [] { throw UsageError("--threads must be from 1"); }), "--threads must be from 1");
}

TEST_CASE("one process takes its steps alone") {
  CHECK_THROWS_AS(together(nullptr, [] { throw StartError("no"); }), StartError);
  CHECK(is_leader(nullptr));
}
