#include "core/files/shared_descriptor_table.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "core/base/check.h"
#include "core/files/file_cache.h"

namespace bakeoff {
namespace {

// The file offset that marks a suspect. No read here uses file offsets; a file opened again under the same number and
// name has offset 0, and so is not mistaken for the stray before it.
constexpr off_t suspect_mark_bytes = 1;

}  // namespace

SharedDescriptorTable::SharedDescriptorTable(int descriptors, int workers)
    : descriptors_(descriptors),
      workers_(workers),
      region_(sizeof(Progress) * static_cast<std::size_t>(workers) +
              sizeof(Slot) * static_cast<std::size_t>(descriptors)),
      // Fresh anonymous pages read as zero, which is what every member begins with.
      slots_(reinterpret_cast<Slot*>(static_cast<char*>(region_.data()) +
                                     sizeof(Progress) * static_cast<std::size_t>(workers))),
      progress_(static_cast<Progress*>(region_.data())) {}

void SharedDescriptorTable::enter() {
  if (self_ != 0 && nested_++ == 0) progress_[self_ - 1].steps.fetch_add(1, std::memory_order_acq_rel);
}

void SharedDescriptorTable::leave() {
  if (self_ != 0 && --nested_ == 0) progress_[self_ - 1].steps.fetch_add(1, std::memory_order_acq_rel);
}

void SharedDescriptorTable::i_am(int worker) {
  self_ = worker;
  nested_ = 0;
}

void SharedDescriptorTable::note(int fd) {
  BAKEOFF_CHECK(fd >= 0 && fd < descriptors_);
  slots_[fd].generation = 0;
  slots_[fd].owner.store(self_, std::memory_order_release);
}

void SharedDescriptorTable::note_cached(int fd, std::uint32_t generation) {
  BAKEOFF_CHECK(fd >= 0 && fd < descriptors_);
  slots_[fd].generation = generation;
  slots_[fd].owner.store(common, std::memory_order_release);
}

void SharedDescriptorTable::close(int fd) {
  const Window window(*this);
  std::int32_t mine = closing_by(self_);
  slots_[fd].owner.store(mine, std::memory_order_release);
  ::close(fd);
  // Unless the number is in use again already, and noted.
  slots_[fd].owner.compare_exchange_strong(mine, nobody, std::memory_order_acq_rel, std::memory_order_relaxed);
}

bool SharedDescriptorTable::retire(std::uint32_t generation, const void* begin, const void* end) {
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

void SharedDescriptorTable::adopt_open_descriptors() {
  for (const auto& [fd, what] : unnoted(false)) note_cached(fd, 0);
}

void SharedDescriptorTable::give_back(int worker, FileCache& cache) {
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

  // An unrecorded descriptor is a stray of the dead worker, or a live worker is about to record it.
  suspects_ = unnoted(true);
  for (const auto& [fd, what] : suspects_) ::lseek(fd, suspect_mark_bytes, SEEK_SET);
  seen_steps_.clear();
  for (int other = 0; other < workers_; ++other)
    seen_steps_.push_back(progress_[other].steps.load(std::memory_order_acquire));
}

bool SharedDescriptorTable::sweep_strays() {
  if (suspects_.empty()) return true;
  for (int other = 0; other < workers_; ++other) {
    const std::uint64_t then = seen_steps_[static_cast<std::size_t>(other)];
    if (then % 2 == 1 && progress_[other].steps.load(std::memory_order_acquire) == then) return false;
  }
  // Every worker has left the Window it was in: a descriptor that is still the same and still unrecorded is a stray.
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

std::map<int, std::string> SharedDescriptorTable::unnoted(bool and_closing) const {
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
