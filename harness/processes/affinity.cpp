#include "harness/processes/affinity.h"

#include <sched.h>

namespace bakeoff {
namespace {

std::vector<int> current() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> numbers;
  for (int number = 0; number < CPU_SETSIZE; ++number) {
    if (CPU_ISSET(static_cast<std::size_t>(number), &allowed)) numbers.push_back(number);
  }
  return numbers;
}

void allow(const std::vector<int>& processors) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  for (const int number : processors) CPU_SET(static_cast<std::size_t>(number), &allowed);
  sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace

const std::vector<int>& usable_processors() {
  static const std::vector<int> usable = current();
  return usable;
}

Pin::Pin(const std::vector<int>& processors) {
  usable_processors();  // before they look fewer
  if (processors.empty()) return;
  before_ = current();
  allow(processors);
}

Pin::~Pin() {
  if (!before_.empty()) allow(before_);
}

}  // namespace bakeoff
