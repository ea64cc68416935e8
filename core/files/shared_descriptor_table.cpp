#include "core/files/shared_descriptor_table.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "core/base/check.h"

namespace bakeoff {
namespace {

// Where the file offset of a suspect is put, which nobody here reads by: a file opened again under the same number and
// name has it at 0, and so is not taken for the stray that it followed.
constexpr off_t suspect_mark_bytes = 1;

}  // namespace

Ledger::Ledger(int descriptors, int workers)
    : descriptors_(descriptors),
      workers_(workers),
      region_(sizeof(Progress) * static_cast<std::size_t>(workers) +
              sizeof(Slot) * static_cast<std::size_t>(descriptors)),
      // Fresh anonymous pages read as zero, which is what every member begins with.
      slots_(reinterpret_cast<Slot*>(static_cast<char*>(region_.data()) +
                                     sizeof(Progress) * static_cast<std::size_t>(workers))),
      progress_(static_cast<Progress*>(region_.data())) {}

void Ledger::enter() {
  if (self_ != 0 && nested_++ == 0) progress_[self_ - 1].steps.fetch_add(1, std::memory_order_acq_rel);
}

void Ledger::leave() {
  if (self_ != 0 && --nested_ == 0) progress_[self_ - 1].steps.fetch_add(1, std::memory_order_acq_rel);
}

void Ledger::i_am(int worker) {
  self_ = worker;
  nested_ = 0;
}

void Ledger::note(int fd) {
  BAKEOFF_CHECK(fd >= 0 && fd < descriptors_);
  slots_[fd].generation = 0;
  slots_[fd].owner.store(self_, std::memory_order_release);
}

void Ledger::note_cached(int fd, std::uint32_t generation) {
  BAKEOFF_CHECK(fd >= 0 && fd < descriptors_);
  slots_[fd].generation = generation;
  slots_[fd].owner.store(common, std::memory_order_release);
}

void Ledger::close(int fd) {
  const Window window(this);
  std::int32_t mine = closing_by(self_);
  slots_[fd].owner.store(mine, std::memory_order_release);
  ::close(fd);
  // Unless the number is in use again already, and noted.
  slots_[fd].owner.compare_exchange_strong(mine, nobody, std::memory_order_acq_rel, std::memory_order_relaxed);
}

bool Ledger::retire(std::uint32_t generation, const void* begin, const void* end) {
  std::set<int> in_use;
  bool pinned = false;
  for (int fd = 0; fd < descriptors_; ++fd) {
    const CachedFile* file = slots_[fd].pin.file;
    if (file == nullptr || std::less<const void*>{}(file, begin) || !std::less<const void*>{}(file, end)) continue;
    pinned = true;
    in_use.insert(file->bytes.fd);
  }
  for (int fd = 0; fd < descriptors_; ++fd) {
    if (slots_[fd].owner.load(std::memory_order_acquire) != common || slots_[fd].generation != generation) continue;
    if (in_use.contains(fd)) continue;
    close(fd);
  }
  return !pinned;
}

void Ledger::adopt_open_descriptors() {
  for (const auto& [fd, what] : unnoted(false)) note_cached(fd, 0);
}

void Ledger::give_back(int worker, FileCache& cache) {
  for (int fd = 0; fd < descriptors_; ++fd) {
    Slot& slot = slots_[fd];
    std::int32_t owner = slot.owner.load(std::memory_order_acquire);
    if (owner == closing_by(worker)) slot.owner.compare_exchange_strong(owner, nobody, std::memory_order_acq_rel);
    if (owner != worker) continue;
    if (slot.pin.file != nullptr) cache.unpin_of_dead(slot.pin);
    close(fd);
  }
  // The next process of that number begins outside any Window.
  Progress& progress = progress_[worker - 1];
  progress.steps.store((progress.steps.load() + 1) & ~std::uint64_t{1});

  // What nobody has noted is a stray of the dead worker, or is just about to be noted by a live one.
  suspects_ = unnoted(true);
  for (const auto& [fd, what] : suspects_) ::lseek(fd, suspect_mark_bytes, SEEK_SET);
  seen_steps_.clear();
  for (int other = 0; other < workers_; ++other)
    seen_steps_.push_back(progress_[other].steps.load(std::memory_order_acquire));
}

bool Ledger::sweep_strays() {
  if (suspects_.empty()) return true;
  for (int other = 0; other < workers_; ++other) {
    const std::uint64_t then = seen_steps_[static_cast<std::size_t>(other)];
    if (then % 2 == 1 && progress_[other].steps.load(std::memory_order_acquire) == then) return false;
  }
  // Every worker has left the Window it was in: what is unnoted still, and still the same thing, belongs to nobody.
  const std::map<int, std::string> now = unnoted(false);
  for (const auto& [fd, what] : suspects_) {
    const auto same = now.find(fd);
    if (same == now.end() || same->second != what) continue;
    if (what.starts_with('/') && ::lseek(fd, 0, SEEK_CUR) != suspect_mark_bytes) continue;
    ::close(fd);
  }
  suspects_.clear();
  return true;
}

std::map<int, std::string> Ledger::unnoted(bool and_closing) const {
  std::map<int, std::string> found;
  std::error_code gone;
  const std::string this_look = "/proc/" + std::to_string(::getpid()) + "/fd";  // open only while it lasts
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", gone)) {
    const std::string number = entry.path().filename();
    int fd = -1;
    std::from_chars(number.data(), number.data() + number.size(), fd);
    if (fd < 0 || fd >= descriptors_) continue;
    const std::int32_t owner = slots_[fd].owner.load(std::memory_order_acquire);
    if (owner != nobody && !(and_closing && owner <= closing_by(0))) continue;
    const std::filesystem::path what = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone && what != this_look) found.emplace(fd, what.string());
  }
  return found;
}

}  // namespace bakeoff
