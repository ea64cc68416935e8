#include "core/trace/ring.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "core/base/errors.h"
#include "core/trace/recorder.h"
#include "core/trace/region.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

// A ring in memory of its own.
class RingBench {
 public:
  explicit RingBench(std::uint64_t events) : bytes_(TraceRing::bytes_for(events)) {
    memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory_ != MAP_FAILED);
    ring().begin("loop", LaneKind::worker, events, 11, 12);
  }
  ~RingBench() { ::munmap(memory_, bytes_); }
  RingBench(const RingBench&) = delete;
  RingBench& operator=(const RingBench&) = delete;

  TraceRing& ring() { return *static_cast<TraceRing*>(memory_); }
  TraceLane read(std::int64_t now_ns = 0) { return ring().read(bytes_, now_ns); }

 private:
  std::size_t bytes_;
  void* memory_;
};

// All its words tell its number, so that a torn one is found.
TraceEvent numbered(std::uint64_t n) {
  TraceEvent event;
  event.begin_ns = static_cast<std::int64_t>(n);
  event.end_ns = static_cast<std::int64_t>(n);
  event.amount = n;
  event.cpu_ns = static_cast<std::uint32_t>(n);
  event.delay_ns = static_cast<std::uint32_t>(n);
  event.connection = static_cast<std::uint32_t>(n);
  return event;
}

}  // namespace

TEST_CASE("a ring gives back what was recorded, in order, with who recorded it") {
  RingBench bench(8);
  CHECK(bench.read().events.empty());
  for (std::uint64_t n = 1; n <= 5; ++n) bench.ring().add(numbered(n));
  const TraceLane lane = bench.read();
  CHECK(lane.name == "loop");
  CHECK(lane.process == 11);
  CHECK(lane.thread == 12);
  CHECK(lane.lost == 0);
  REQUIRE(lane.events.size() == 5);
  for (std::uint64_t n = 1; n <= 5; ++n) CHECK(lane.events[n - 1] == numbered(n));
}

TEST_CASE("a ring that overflows keeps the newest and counts what is lost") {
  RingBench bench(8);
  for (std::uint64_t n = 1; n <= 100; ++n) bench.ring().add(numbered(n));
  const TraceLane lane = bench.read();
  CHECK(lane.lost + lane.events.size() == 100);
  REQUIRE(lane.events.size() >= 7);
  CHECK(lane.events.back() == numbered(100));
  CHECK(lane.events.front() == numbered(lane.lost + 1));
}

TEST_CASE("what goes on when the ring is read is an event that ends then") {
  RingBench bench(8);
  TraceEvent open = numbered(0);
  open.kind = TraceKind::step_on_disk;
  open.begin_ns = 100;
  open.connection = 7;
  bench.ring().set_open(open);
  TraceLane lane = bench.read(250);
  REQUIRE(lane.events.size() == 1);
  CHECK(lane.events[0].kind == TraceKind::step_on_disk);
  CHECK(lane.events[0].connection == 7);
  CHECK(lane.events[0].begin_ns == 100);
  CHECK(lane.events[0].end_ns == 250);
  bench.ring().add(numbered(300));
  bench.ring().clear_open();
  CHECK(bench.read(400).events == std::vector{numbered(300)});
}

TEST_CASE("a reader beside the writer finds whole events alone, and none twice") {
  RingBench bench(64);
  constexpr std::uint64_t count = 200'000;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::uint64_t n = 1; n <= count; ++n) bench.ring().add(numbered(n));
    done = true;
  });
  std::uint64_t reads = 0, last = 0;
  bool whole = true, in_order = true, counted = true;
  while (!done || reads == 0) {
    const TraceLane lane = bench.read();
    ++reads;
    std::uint64_t expected = lane.lost + 1;
    for (const TraceEvent& event : lane.events) {
      whole = whole && event == numbered(event.amount);
      in_order = in_order && event.amount == expected++;
    }
    counted = counted && lane.lost + lane.events.size() >= last;
    last = lane.lost + lane.events.size();
  }
  writer.join();
  CHECK(whole);
  CHECK(in_order);
  CHECK(counted);
  CHECK(bench.read().events.back() == numbered(count));
}

TEST_CASE("a reader believes a ring's size no further than its memory goes") {
  RingBench bench(8);
  bench.ring().begin("loop", LaneKind::worker, std::uint64_t{1} << 60, 1, 1);  // its owner may write anything
  bench.ring().add(numbered(1));
  CHECK(bench.read().events.size() == 1);
}

TEST_CASE("another process reads what a server records, while it runs and when it was killed") {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t server = ::fork();
  if (server == 0) {
    TraceRegion region(1024);
    TraceRecorder loop(region, "loop");
    TraceEvent step = loop.begin(TraceKind::step, region.next_connection(), 3);
    step.amount = 42;
    loop.end(step);
    // Killed in the middle of a wait for the disk.
    loop.begin(TraceKind::step_on_disk, region.next_connection());
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const TraceRegion seen = TraceRegion::of_process(server);
  const auto look = [&] {
    const std::vector<TraceLane> lanes = seen.read();
    REQUIRE(lanes.size() == 1);
    CHECK(lanes[0].name == "loop");
    CHECK(lanes[0].process == server);
    CHECK(lanes[0].thread == server);
    REQUIRE(lanes[0].events.size() == 2);
    CHECK(lanes[0].events[0].amount == 42);
    CHECK(lanes[0].events[0].connection == 1);
    CHECK(lanes[0].events[0].phase_before == 3);
    CHECK(lanes[0].events[1].kind == TraceKind::step_on_disk);
    CHECK(lanes[0].events[1].connection == 2);
    CHECK(lanes[0].events[1].end_ns >= lanes[0].events[1].begin_ns);
  };
  look();
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  look();
  CHECK_THROWS_AS(TraceRegion::of_process(server), UsageError);  // too late to begin with
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("contexts beyond the rings there are go unrecorded, and are counted") {
  TraceRegion region(1);
  for (std::uint32_t i = 0; i < TraceRegion::most_lanes; ++i) REQUIRE(region.claim() != nullptr);
  CHECK(region.unrecorded() == 0);
  TraceRecorder one_more(region, "thread");
  one_more.begin_wait();
  one_more.end_wait(1);
  CHECK(region.unrecorded() == 1);
}

TEST_CASE("a process that records nothing, and a stranger's memory of that name, are refused in one sentence") {
  const auto refused = [](const std::string& part) {
    try {
      TraceRegion::of_process(::getpid());
    } catch (const UsageError& error) {
      INFO(error.what());
      CHECK(std::string(error.what()).find(part) != std::string::npos);
      return true;
    }
    return false;
  };
  CHECK(refused("records nothing"));
  for (const off_t bytes : {off_t{0}, off_t{1}, off_t{8192}, off_t{1} << 30}) {
    INFO(bytes);
    const int fd = ::memfd_create("bakeoff-trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    REQUIRE(fd >= 0);
    REQUIRE(::ftruncate(fd, bytes) == 0);
    REQUIRE(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    CHECK(refused("another build"));
    ::close(fd);
  }
}

TEST_CASE("a recorder tells a wait from work, and names what it is") {
  TraceRegion region(16);
  TraceRecorder recorder(region, "worker");
  recorder.rename("a name that is longer than any name that fits into the ring's memory", 123456789);
  recorder.rename("thread", 3);
  TraceEvent job = recorder.begin(TraceKind::job, 5);
  recorder.end(job);
  recorder.begin_wait();
  recorder.end_wait(2);
  const std::vector<TraceLane> lanes = region.read();
  REQUIRE(lanes.size() == 1);
  CHECK(lanes[0].name == "thread 3");
  REQUIRE(lanes[0].events.size() == 2);
  CHECK(lanes[0].events[0].kind == TraceKind::job);
  CHECK(lanes[0].events[0].cpu_ns <= lanes[0].events[0].end_ns - lanes[0].events[0].begin_ns);
  CHECK(lanes[0].events[1].kind == TraceKind::wait);
  CHECK(lanes[0].events[1].amount == 2);
  CHECK(lanes[0].events[1].begin_ns >= lanes[0].events[0].end_ns);
}
