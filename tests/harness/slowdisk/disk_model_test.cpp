#include "harness/slowdisk/disk_model.h"

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

constexpr std::int64_t ms = 1'000'000;

DiskParameters plain_disk(std::uint32_t arms) {
  DiskParameters disk;
  disk.seek_s = Distribution::constant(0.002);
  disk.rate_bytes_per_s = 1e6;  // a kilobyte a millisecond
  disk.arms = arms;
  return disk;
}

// The times at which `count` random requests of 1000 bytes, all submitted at 0, are done.
std::vector<std::int64_t> completions_of(DiskModel& model, int count) {
  for (int i = 0; i < count; ++i) model.submit({static_cast<std::uint64_t>(i), 0, 1000}, 0);
  std::vector<std::int64_t> times;
  while (const std::optional<std::int64_t> next = model.next_completion_ns()) {
    CHECK_FALSE(model.take_completed(*next - 1));
    REQUIRE(model.take_completed(*next));
    times.push_back(*next);
  }
  return times;
}

}  // namespace

TEST_CASE("one arm serves one request after the other") {
  DiskModel model(plain_disk(1), 1);
  CHECK_FALSE(model.next_completion_ns());
  CHECK(completions_of(model, 4) == std::vector<std::int64_t>{3 * ms, 6 * ms, 9 * ms, 12 * ms});
  CHECK(model.statistics().requests == 4);
  CHECK(model.statistics().bytes == 4000);
  CHECK(model.statistics().served_ns == 12 * ms);
  CHECK(model.statistics().waited_ns == (0 + 3 + 6 + 9) * ms);
  CHECK(model.statistics().longest_queue == 3);
}

TEST_CASE("eight arms serve eight at once") {
  DiskModel model(plain_disk(8), 1);
  const std::vector<std::int64_t> times = completions_of(model, 16);
  for (std::size_t i = 0; i < 16; ++i) CHECK(times[i] == (i < 8 ? 3 : 6) * ms);
}

TEST_CASE("requests complete in order of completion, with what was submitted") {
  DiskModel model(plain_disk(2), 1);
  int a = 0, b = 0;
  model.submit({1, 0, 9000, &a}, 0);
  model.submit({2, 4096, 1000, &b}, ms);
  const auto first = model.take_completed(100 * ms), second = model.take_completed(100 * ms);
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->tag == &b);
  CHECK(first->file == 2);
  CHECK(first->offset == 4096);
  CHECK(second->tag == &a);
  CHECK_FALSE(model.take_completed(100 * ms));
}

TEST_CASE("a caller that looks late does not slow the disk") {
  DiskModel model(plain_disk(1), 1);
  for (std::uint64_t i = 0; i < 3; ++i) model.submit({i, 0, 1000}, 0);
  REQUIRE(model.take_completed(100 * ms));
  CHECK(model.next_completion_ns() == 6 * ms);
  REQUIRE(model.take_completed(100 * ms));
  CHECK(model.next_completion_ns() == 9 * ms);
}

TEST_CASE("a disk that idled starts when a request comes") {
  DiskModel model(plain_disk(1), 1);
  model.submit({1, 0, 1000}, 50 * ms);
  CHECK(model.next_completion_ns() == 53 * ms);
  REQUIRE(model.take_completed(53 * ms));
  model.submit({2, 0, 1000}, 70 * ms);
  CHECK(model.next_completion_ns() == 73 * ms);
}

TEST_CASE("what follows on where the arm stands needs no seek") {
  DiskParameters disk = plain_disk(2);
  DiskModel model(disk, 1);
  model.submit({1, 0, 1000}, 0);
  model.submit({2, 0, 1000}, 0);
  REQUIRE(model.take_completed(3 * ms));
  REQUIRE(model.take_completed(3 * ms));
  model.submit({2, 1000, 1000}, 3 * ms);  // finds the arm that stands there, not the first
  CHECK(model.next_completion_ns() == 4 * ms);
  model.submit({1, 2000, 1000}, 3 * ms);  // leaves a gap
  REQUIRE(model.take_completed(4 * ms));
  CHECK(model.next_completion_ns() == 6 * ms);
  CHECK(model.statistics().sequential == 1);

  disk.sequential_is_free = false;
  DiskModel always(disk, 1);
  always.submit({1, 0, 1000}, 0);
  REQUIRE(always.take_completed(3 * ms));
  always.submit({1, 1000, 1000}, 3 * ms);
  CHECK(always.next_completion_ns() == 6 * ms);
}

TEST_CASE("the shipped disks have the service times of their descriptions") {
  const auto mean_ms = [](const DiskParameters& disk) {
    DiskModel model(disk, 7);
    constexpr int count = 20'000;
    for (int i = 0; i < count; ++i) model.submit({static_cast<std::uint64_t>(i), 0, 4096}, 0);
    while (model.take_completed(std::int64_t{1} << 60)) {
    }
    return static_cast<double>(model.statistics().served_ns) / count / 1e6;
  };
  CHECK(mean_ms(load_disk("scsi10k")) == Approx(4.7 + 3.0 + 0.068).epsilon(0.01));
  CHECK(load_disk("scsi10k").arms == 1);
  CHECK(mean_ms(load_disk("ssd")) == Approx(0.1 + 0.0082).epsilon(0.001));
  CHECK(load_disk("ssd").arms == 32);
  CHECK(mean_ms(load_disk("constant")) == Approx(2 + 0.041).epsilon(0.001));
  CHECK(load_disk("constant", {"arms=3"}).arms == 3);
}

TEST_CASE("a disk that cannot be is refused in a line") {
  CHECK_THROWS_WITH(load_disk("floppy"),
                    "there is no disk `floppy`; there are constant, scsi10k, ssd, or give a TOML file");
  CHECK_THROWS_WITH(load_disk("ssd", {"arms=0"}), "arms=0: arms: expected an integer from 1 to 1024, got 0");
  CHECK_THROWS_WITH(load_disk("ssd", {"heads=4"}), "heads=4: unknown key `heads`");
}
