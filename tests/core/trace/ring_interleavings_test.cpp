// Every way in which a ring's writer can come between the steps of a reader, up to two times in one reading.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/trace/ring.h"
#include "tests/catch.h"

// Named, because the ring has members of these types.
namespace bakeoff::ring_interleavings {

// The writer never looks at what a reader does. So it goes first, and each of its stores is noted; then its stores are
// done again, some before each load of the reader.
struct Store {
  std::uint64_t* place;
  std::uint64_t value;
};
inline std::vector<Store>* noted = nullptr;  // while the writer goes
struct Interruptions {
  std::size_t stored = 0;  // of the writer's stores
  struct {
    std::size_t load, stores;
  } at[2];
  std::size_t loads = 0;  // that the reader has done
  const std::vector<Store>* all = nullptr;

  void store(std::size_t count) {
    for (; count > 0; --count, ++stored) *(*all)[stored].place = (*all)[stored].value;
  }
};
inline Interruptions* reading = nullptr;  // while the reader goes

template <class T>
class Stepping {
 public:
  void store(T value, std::memory_order) {
    if (noted != nullptr) noted->push_back({&word_, value});
    word_ = value;
  }
  T load(std::memory_order) const {
    if (reading != nullptr) {
      for (const auto& [load, stores] : reading->at) {
        if (load == reading->loads) reading->store(stores);
      }
      ++reading->loads;
    }
    return static_cast<T>(word_);
  }

 private:
  std::uint64_t word_;
};
using Ring = TraceRingOf<Stepping>;

constexpr std::uint64_t capacity = 2, events = 3;
constexpr std::int64_t now_ns = 1000;

// All its words tell its number.
inline TraceEvent numbered(std::uint64_t n) {
  TraceEvent event;
  event.begin_ns = static_cast<std::int64_t>(10 * n);
  event.end_ns = event.begin_ns + 5;
  event.amount = n;
  event.cpu_ns = static_cast<std::uint32_t>(n);
  event.delay_ns = static_cast<std::uint32_t>(n);
  event.connection = static_cast<std::uint32_t>(n);
  return event;
}

inline bool is_right(const TraceLane& lane) {
  std::uint64_t expected = lane.lost + 1;
  for (std::size_t i = 0; i < lane.events.size(); ++i) {
    const TraceEvent& event = lane.events[i];
    const bool goes_on = event.end_ns == now_ns;
    if (goes_on && i + 1 != lane.events.size()) return false;
    if (goes_on && event.begin_ns != 10 * static_cast<std::int64_t>(event.connection)) return false;
    if (!goes_on && event != numbered(expected++)) return false;
  }
  return true;
}

TEST_CASE("a reader of a ring finds no torn event, wherever the writer comes between") {
  alignas(Ring) static std::byte memory[4096];
  static_assert(sizeof memory >= sizeof(Ring) + capacity * sizeof(TraceEvent));
  std::memset(memory, 0, sizeof memory);
  Ring& ring = *reinterpret_cast<Ring*>(memory);
  ring.begin("loop", LaneKind::worker, capacity, 1, 1);
  std::byte before[sizeof memory];
  std::memcpy(before, memory, sizeof memory);

  std::vector<Store> stores;
  noted = &stores;
  for (std::uint64_t n = 1; n <= events; ++n) {
    ring.set_open(numbered(n));
    ring.add(numbered(n));
    if (n != 2) ring.clear_open();  // what goes on may also follow what did
  }
  noted = nullptr;

  std::uint64_t readings = 0, wrong = 0, with_events = 0, with_open = 0;
  const auto read = [&](Interruptions with, std::size_t first_stores) {
    std::memcpy(memory, before, sizeof memory);
    with.all = &stores;
    with.store(first_stores);
    reading = &with;
    const TraceLane lane = ring.read(sizeof memory, now_ns);
    reading = nullptr;
    ++readings;
    wrong += is_right(lane) ? 0 : 1;
    const bool open = !lane.events.empty() && lane.events.back().end_ns == now_ns;
    with_open += open ? 1 : 0;
    with_events += lane.events.size() > (open ? 1 : 0) ? 1 : 0;
    return with.loads;
  };
  for (std::size_t first = 0; first <= stores.size(); ++first) {
    for (std::size_t load = 0, loads = 1; load < loads; ++load) {
      for (std::size_t some = 0; first + some <= stores.size(); ++some) {
        loads = std::max(loads, read({0, {{load, some}, {0, 0}}}, first));
        for (std::size_t later = load + 1; later < loads && some > 0; ++later) {
          for (std::size_t more = 1; first + some + more <= stores.size(); ++more)
            read({0, {{load, some}, {later, more}}}, first);
        }
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(readings > 100'000);
  CHECK(with_events > 1'000);
  CHECK(with_open > 1'000);
}

}  // namespace bakeoff::ring_interleavings
