#include "core/occupancy.h"

#include <sys/socket.h>

#include <new>

#include "core/base/check.h"
#include "core/base/clock.h"

namespace bakeoff {
namespace {

constexpr std::size_t page_bytes = 4096;

}  // namespace

Occupancy::Occupancy(const Settings& settings)
    : settings_(settings),
      memory_(page_bytes + static_cast<std::size_t>(settings.most_processes) * sizeof(Place)),
      used_(new (memory_.data()) std::atomic<int>{1}),
      places_(reinterpret_cast<Place*>(static_cast<std::byte*>(memory_.data()) + page_bytes)),
      own_(places_),
      head_(settings.descriptors) {
  if (!settings.closes_idle) return;
  nodes_.resize(static_cast<std::size_t>(settings.descriptors) + 1);
  nodes_[static_cast<std::size_t>(head_)] = {head_, head_, Node::State::busy, 0};
}

void Occupancy::begin_process(int number) {
  BAKEOFF_CHECK(0 <= number && number < settings_.most_processes);
  own_ = places_ + number;
  own_->open = 0;
  own_->leaving = 0;
  own_->longest_idle_ns = 0;
  int used = used_->load();
  while (used <= number && !used_->compare_exchange_weak(used, number + 1)) {
  }
}

void Occupancy::left(int fd) {
  own_->open.fetch_sub(1, std::memory_order_release);
  own_->open.notify_one();  // no system call while nobody waits
  if (!idle_ends(fd)) return;
  const std::lock_guard lock(mutex_);
  nodes_[static_cast<std::size_t>(fd)].state = Node::State::busy;
  own_->leaving.fetch_sub(1, std::memory_order_release);
}

void Occupancy::wait_below(int most) const {
  for (int open; (open = own_->open.load()) >= most;) own_->open.wait(open);
}

void Occupancy::note_idle(int fd) {
  const std::lock_guard lock(mutex_);
  Node& node = nodes_.at(static_cast<std::size_t>(fd));
  if (node.state != Node::State::busy) return;
  const int last = nodes_[static_cast<std::size_t>(head_)].previous;
  node = {head_, last, Node::State::idle, monotonic_ns()};
  nodes_[static_cast<std::size_t>(last)].next = fd;
  nodes_[static_cast<std::size_t>(head_)].previous = fd;
  tell_longest();
}

bool Occupancy::note_busy(int fd) {
  const std::lock_guard lock(mutex_);
  Node& node = nodes_.at(static_cast<std::size_t>(fd));
  if (node.state == Node::State::leaving) return true;
  if (node.state == Node::State::idle) unlink(fd);
  node.state = Node::State::busy;
  return false;
}

bool Occupancy::can_make_room(bool apart) {
  if (own_->longest_idle_ns.load(std::memory_order_relaxed) == 0) return false;
  const int processes = used_->load();
  if (apart || processes == 1) return true;
  int open = 0;
  for (int i = 0; i < processes; ++i) open += places_[i].open.load(std::memory_order_relaxed);
  return open >= settings_.connections;
}

bool Occupancy::end_longest_idle() {
  const std::lock_guard lock(mutex_);
  return end_longest_idle_locked();
}

std::optional<int> Occupancy::served_before(bool apart) const {
  const std::int64_t own_since_ns = own_->longest_idle_ns.load(std::memory_order_relaxed);
  if (own_since_ns == 0) return std::nullopt;
  int before = apart ? 0 : settings_.connections;
  const int processes = apart ? 0 : used_->load();
  for (int i = 0; i < processes; ++i) {
    const Place& place = places_[i];
    const std::int64_t since_ns = place.longest_idle_ns.load(std::memory_order_acquire);
    before += since_ns != 0 && since_ns < own_since_ns ? 1 : 0;
    before += place.leaving.load(std::memory_order_acquire);
    before -= place.open.load(std::memory_order_acquire);
  }
  return before;
}

void Occupancy::unlink(int fd) {
  const Node& node = nodes_[static_cast<std::size_t>(fd)];
  nodes_[static_cast<std::size_t>(node.previous)].next = node.next;
  nodes_[static_cast<std::size_t>(node.next)].previous = node.previous;
  tell_longest();
}

void Occupancy::tell_longest() {
  const int first = nodes_[static_cast<std::size_t>(head_)].next;
  own_->longest_idle_ns.store(first == head_ ? 0 : nodes_[static_cast<std::size_t>(first)].since_ns,
                              std::memory_order_release);
}

bool Occupancy::end_longest_idle_locked() {
  const int first = nodes_[static_cast<std::size_t>(head_)].next;
  if (first == head_) return false;
  own_->leaving.fetch_add(1, std::memory_order_relaxed);
  unlink(first);
  nodes_[static_cast<std::size_t>(first)].state = Node::State::leaving;
  // The socket of an idle connection: it is not closed before left(), which waits for the lock.
  ::shutdown(first, SHUT_RD);
  return true;
}

}  // namespace bakeoff
