#include "harness/slowdisk/disk_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/toml/strict_toml.h"

namespace bakeoff {

namespace {

std::filesystem::path file_of(std::string_view name_or_path) {
  if (name_or_path.find('/') != std::string_view::npos || name_or_path.ends_with(".toml")) return name_or_path;
  const std::filesystem::path dir = data_dir() / "harness" / "slowdisk";
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(dir, missing)) {
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  if (std::find(names.begin(), names.end(), name_or_path) != names.end())
    return dir / (std::string(name_or_path) + ".toml");
  std::string message = "there is no disk `" + std::string(name_or_path) + "`; there are";
  for (const std::string& name : names) message += (name == names.front() ? " " : ", ") + name;
  throw UsageError(message + ", or give a TOML file");
}

std::int64_t to_ns(double seconds) { return std::llround(seconds * 1e9); }

}  // namespace

DiskParameters load_disk(std::string_view name_or_path, const std::vector<std::string>& overrides) {
  TomlDocument document = TomlDocument::load(file_of(name_or_path));
  for (const std::string& assignment : overrides) document.set(assignment);
  const TomlTable root = document.root();
  DiskParameters disk;
  root.string("description", "");
  if (root.has("seek")) disk.seek_s = read_distribution(root, "seek");
  if (root.has("rotation")) disk.rotation_s = read_distribution(root, "rotation");
  disk.rate_bytes_per_s = static_cast<double>(root.bytes("rate", {0, std::int64_t{1} << 50}, 0));
  disk.arms = static_cast<std::uint32_t>(root.integer("arms", {1, 1024}, 1));
  disk.sequential_is_free = root.boolean("sequential_is_free", true);
  document.finish();
  return disk;
}

DiskModel::DiskModel(const DiskParameters& parameters, std::uint64_t seed)
    : parameters_(parameters), random_(seed), arms_(parameters.arms) {}

void DiskModel::submit(const DiskRequest& request, std::int64_t now_ns) {
  if (Arm* arm = idle_arm_for(request)) {
    start(*arm, {request, now_ns}, now_ns);
    return;
  }
  queue_.push_back({request, now_ns});
  statistics_.longest_queue = std::max<std::uint64_t>(statistics_.longest_queue, queue_.size());
}

std::optional<std::int64_t> DiskModel::next_completion_ns() const {
  const Arm* arm = next_arm();
  if (arm == nullptr) return std::nullopt;
  return arm->until_ns;
}

std::optional<DiskRequest> DiskModel::take_completed(std::int64_t now_ns) {
  const Arm* next = next_arm();
  if (next == nullptr || next->until_ns > now_ns) return std::nullopt;
  Arm& arm = arms_[static_cast<std::size_t>(next - arms_.data())];
  const DiskRequest completed = arm.request;
  ++statistics_.requests;
  statistics_.bytes += completed.bytes;
  arm.busy = false;
  // The arm goes on when it was done, not when it was polled, so that a late caller does not slow the disk.
  if (!queue_.empty()) {
    const Waiting waiting = queue_.front();
    queue_.pop_front();
    start(arm, waiting, std::max(arm.until_ns, waiting.since_ns));
  }
  return completed;
}

// The arm that already stands there, else any.
DiskModel::Arm* DiskModel::idle_arm_for(const DiskRequest& request) {
  Arm* found = nullptr;
  for (Arm& arm : arms_) {
    if (arm.busy) continue;
    if (arm.stands && arm.file == request.file && arm.position == request.offset) return &arm;
    if (found == nullptr) found = &arm;
  }
  return found;
}

const DiskModel::Arm* DiskModel::next_arm() const {
  const Arm* next = nullptr;
  for (const Arm& arm : arms_) {
    if (arm.busy && (next == nullptr || arm.until_ns < next->until_ns)) next = &arm;
  }
  return next;
}

void DiskModel::start(Arm& arm, const Waiting& waiting, std::int64_t start_ns) {
  const DiskRequest& request = waiting.request;
  const bool sequential =
      parameters_.sequential_is_free && arm.stands && arm.file == request.file && arm.position == request.offset;
  std::int64_t service_ns = 0;
  if (!sequential) service_ns += to_ns(parameters_.seek_s.draw(random_) + parameters_.rotation_s.draw(random_));
  if (parameters_.rate_bytes_per_s > 0)
    service_ns += to_ns(static_cast<double>(request.bytes) / parameters_.rate_bytes_per_s);
  statistics_.sequential += sequential ? 1 : 0;
  statistics_.waited_ns += start_ns - waiting.since_ns;
  statistics_.served_ns += service_ns;
  arm = {true, start_ns + service_ns, request, request.file, request.offset + request.bytes, true};
  arm.request.arm = static_cast<std::uint32_t>(&arm - arms_.data());
  arm.request.submitted_ns = waiting.since_ns;
  arm.request.started_ns = start_ns;
  arm.request.ended_ns = arm.until_ns;
}

}  // namespace bakeoff
