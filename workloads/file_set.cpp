#include "workloads/file_set.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/random.h"
#include "core/base/untrusted.h"

namespace bakeoff {

namespace {

bool is_plain_path(std::string_view path) {
  if (path.size() < 2 || path.front() != '/' || path.size() > 1024) return false;
  char before = 0;
  for (const char c : path) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!plain && !(c == '.' && before != '/') && !(c == '/' && before != '/')) return false;
    before = c;
  }
  return before != '/';
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// A system call's failure while the set is made or checked, before it is known what to say about it.
struct DiskError {
  int cause;
  std::filesystem::path where;
};

std::string amount(std::uint64_t bytes) {
  return bytes < 10'000'000 ? fmt::format("{} bytes", bytes)
                            : fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

class SetOnDisk {
 public:
  SetOnDisk(const FileSet& set, const std::filesystem::path& dir, const MaterialiseOptions& options)
      : set_(set),
        options_(options),
        hash_(set.hash()),
        base_(dir / (set.name() + "-" + hash_)),
        files_(base_ / "files"),
        manifest_(base_ / "manifest.json") {}

  MaterialisedSet make() {
    try {
      std::filesystem::create_directories(base_);
    } catch (const std::filesystem::filesystem_error& error) {
      throw StartError("cannot make the directory " + base_.string() + " for the file set: " + error.code().message() +
                       "; choose another directory");
    }
    try {
      // A lock needs no right to write, so that a set made by somebody else can be used; without even that, only a set
      // that is complete will do.
      const Descriptor lock(::open((base_ / "lock").c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
      if (lock.valid()) {
        while (::flock(lock.get(), LOCK_EX) != 0) {
          if (errno != EINTR) throw DiskError{errno, base_ / "lock"};
        }
      }
      MaterialisedSet made{files_, is_complete(), 0};
      if (made.reused) {
        made.repaired = repair();
      } else {
        write_all();
      }
      return made;
    } catch (const DiskError& error) {
      throw StartError("cannot make the file set " + set_.name() + ": " + error.where.string() + ": " +
                       std::strerror(error.cause) +
                       (error.cause == ENOSPC || error.cause == EDQUOT
                            ? "; free some space, choose another directory or a smaller set"
                            : "; choose another directory"));
    }
  }

 private:
  bool is_complete() const {
    if (!std::filesystem::exists(manifest_)) return false;
    const nlohmann::json manifest = parse_untrusted_or_discard(read_untrusted(manifest_, most_json_bytes));
    return manifest.is_object() && manifest.value("hash", "") == hash_;
  }

  std::filesystem::path file_path(const WorkloadFile& file) const { return files_.string() + file.path; }

  std::uint32_t repair() {
    std::uint32_t repaired = 0;
    for (const WorkloadFile& file : set_.files()) {
      if (!file.on_disk) continue;
      struct stat status {};
      const bool sound = ::lstat(file_path(file).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
                         static_cast<std::uint64_t>(status.st_size) == file.size_bytes &&
                         (!options_.check_content || has_right_content(file));
      if (sound) continue;
      std::error_code ignored;
      std::filesystem::remove_all(file_path(file), ignored);  // whatever it has become: a directory, a link
      write_file(file);
      ++repaired;
    }
    if (repaired > 0) sync();
    return repaired;
  }

  bool has_right_content(const WorkloadFile& file) {
    const Descriptor in(::open(file_path(file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!in.valid()) return false;
    for (std::uint64_t offset = 0; offset < file.size_bytes;) {
      const ssize_t got = ::read(in.get(), buffer_.data(), buffer_.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      if (!content_matches(file.content_seed, offset, {buffer_.data(), static_cast<std::size_t>(got)})) return false;
      offset += static_cast<std::uint64_t>(got);
      advance(static_cast<std::uint64_t>(got));
    }
    return true;
  }

  void write_all() {
    std::error_code error;
    std::filesystem::remove(manifest_, error);
    std::filesystem::remove_all(files_, error);
    if (error) throw DiskError{error.value(), files_};
    require_space();
    try {
      std::filesystem::create_directory(files_, error);
      if (error) throw DiskError{error.value(), files_};
      for (const WorkloadFile& file : set_.files()) {
        if (file.on_disk) write_file(file);
      }
      sync();  // the manifest must not reach the disk before what it vouches for
      write_manifest();
    } catch (...) {
      std::filesystem::remove_all(files_, error);
      throw;
    }
  }

  void require_space() const {
    struct statvfs disk {};
    if (::statvfs(base_.c_str(), &disk) != 0) throw DiskError{errno, base_};
    std::uint64_t needed = 0;
    std::uint64_t directories = 1;
    std::string_view last;
    for (const WorkloadFile& file : set_.files()) {
      if (!file.on_disk) continue;
      needed += (file.size_bytes + disk.f_frsize - 1) / disk.f_frsize * disk.f_frsize;
      const std::string_view parent = std::string_view(file.path).substr(0, file.path.rfind('/'));
      if (parent != last) ++directories;
      last = parent;
    }
    needed += directories * disk.f_frsize;
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (needed > free) {
      throw StartError("the file set " + set_.name() + " needs " + amount(needed) + ", and " +
                       base_.parent_path().string() + " has " + amount(free) +
                       " free; free some space, choose another directory or a smaller set");
    }
    const std::uint64_t numbers = set_.size() + directories + 2;
    if (disk.f_files != 0 && numbers > disk.f_favail) {
      throw StartError("the file set " + set_.name() + " has " + std::to_string(set_.size()) +
                       " files, and the file system of " + base_.parent_path().string() + " can take " +
                       std::to_string(disk.f_favail) + " more; choose another directory or a smaller set");
    }
  }

  void write_file(const WorkloadFile& file) {
    const std::filesystem::path path = file_path(file);
    if (path.parent_path() != last_parent_) {
      last_parent_ = path.parent_path();
      std::error_code error;
      std::filesystem::create_directories(last_parent_, error);
      if (error) throw DiskError{error.value(), last_parent_};
    }
    const Descriptor out(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!out.valid()) throw DiskError{errno, path};
    for (std::uint64_t offset = 0; offset < file.size_bytes;) {
      const std::size_t count = std::min<std::uint64_t>(buffer_.size(), file.size_bytes - offset);
      content(file.content_seed, offset, {buffer_.data(), count});
      for (std::size_t written = 0; written < count;) {
        const ssize_t got = ::write(out.get(), buffer_.data() + written, count - written);
        if (got < 0 && errno != EINTR) throw DiskError{errno, path};
        if (got > 0) written += static_cast<std::size_t>(got);
      }
      offset += count;
      advance(count);
    }
  }

  void sync() const {
    const Descriptor directory(::open(files_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || ::syncfs(directory.get()) != 0) throw DiskError{errno, files_};
  }

  void write_manifest() const {
    const nlohmann::json manifest = {
        {"name", set_.name()}, {"hash", hash_}, {"files", set_.size()}, {"bytes", set_.total_bytes()}};
    // A set may have any name; the manifest is UTF-8.
    const std::string text = manifest.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    const std::filesystem::path unfinished = base_ / "manifest.unfinished";
    {
      const Descriptor out(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
      if (!out.valid()) throw DiskError{errno, unfinished};
      const ssize_t written = ::write(out.get(), text.data(), text.size());
      if (written != static_cast<ssize_t>(text.size())) throw DiskError{written < 0 ? errno : ENOSPC, unfinished};
      if (::fsync(out.get()) != 0) throw DiskError{errno, unfinished};
    }
    if (::rename(unfinished.c_str(), manifest_.c_str()) != 0) throw DiskError{errno, manifest_};
    const Descriptor directory(::open(base_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || ::fsync(directory.get()) != 0) throw DiskError{errno, base_};
  }

  void advance(std::uint64_t bytes) {
    done_bytes_ += bytes;
    if (options_.progress && (done_bytes_ - reported_bytes_ >= 16'000'000 || done_bytes_ == set_.total_bytes())) {
      reported_bytes_ = done_bytes_;
      options_.progress(done_bytes_, set_.total_bytes());
    }
  }

  const FileSet& set_;
  const MaterialiseOptions& options_;
  const std::string hash_;
  const std::filesystem::path base_, files_, manifest_;
  std::filesystem::path last_parent_;
  std::vector<char> buffer_ = std::vector<char>(1 << 18);
  std::uint64_t done_bytes_ = 0;
  std::uint64_t reported_bytes_ = 0;
};

}  // namespace

std::uint32_t FileSet::add(std::string path, std::uint64_t size_bytes, std::uint32_t class_index) {
  BAKEOFF_CHECK(is_plain_path(path));
  const std::uint32_t number = size();
  const std::uint64_t seed = content_seed(path);
  BAKEOFF_CHECK(index_.emplace(path, number).second);
  files_.push_back({std::move(path), size_bytes, class_index, seed});
  total_bytes_ += size_bytes;
  return number;
}

std::uint32_t FileSet::add_made(std::string path, std::uint64_t size_bytes, std::uint32_t class_index) {
  const std::uint32_t number = add(std::move(path), size_bytes, class_index);
  files_[number].on_disk = false;
  total_bytes_ -= size_bytes;
  return number;
}

bool FileSet::has_synthetic() const {
  return std::any_of(files_.begin(), files_.end(), [](const WorkloadFile& file) { return !file.on_disk; });
}

std::optional<std::uint32_t> FileSet::find(std::string_view path) const {
  const auto found = index_.find(path);
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

std::string FileSet::hash() const {
  std::uint64_t hash = content_version();  // so that another way of making content gives other sets
  for (const WorkloadFile& file : files_) {
    if (file.on_disk) hash = mix64(mix64(hash ^ file.content_seed) + file.size_bytes);
  }
  return fmt::format("{:016x}", hash);
}

MaterialisedSet materialise(const FileSet& set, const std::filesystem::path& dir, const MaterialiseOptions& options) {
  return SetOnDisk(set, dir, options).make();
}

}  // namespace bakeoff
