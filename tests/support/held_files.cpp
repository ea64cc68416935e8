#define FUSE_USE_VERSION 312
#include "tests/support/held_files.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"

namespace bakeoff::test {

namespace {

constexpr double forever_s = 1e9;
constexpr fuse_ino_t root_inode = 1;

}  // namespace

class HeldFiles::Impl {
 public:
  explicit Impl(const std::map<std::string, std::string>& contents) {
    for (const auto& [name, content] : contents) {
      files_.push_back({name, content});
      if (name.starts_with("held")) held_.insert(name);
    }
    std::filesystem::create_directory(directory_.path() / "mount");
    mountpoint_ = (directory_.path() / "mount").string();
    std::array<std::string, 3> words = {"held-files", "-o",
                                        ::geteuid() == 0 ? "ro,fsname=held-files,allow_other" : "ro,fsname=held-files"};
    std::array<char*, 3> arguments = {words[0].data(), words[1].data(), words[2].data()};
    fuse_args args = FUSE_ARGS_INIT(static_cast<int>(arguments.size()), arguments.data());
    fuse_lowlevel_ops operations{};
    operations.init = [](void*, fuse_conn_info* connection) { connection->max_background = 4096; };
    operations.lookup = [](fuse_req_t request, fuse_ino_t, const char* name) { self(request).lookup(request, name); };
    operations.getattr = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
      self(request).getattr(request, inode);
    };
    operations.open = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) {
      ::fuse_reply_err(request, ENOSYS);
    };  // and keep the cache
    operations.read = [](fuse_req_t request, fuse_ino_t inode, std::size_t bytes, off_t offset, fuse_file_info*) {
      self(request).read({request, inode, bytes, static_cast<std::size_t>(offset)});
    };
    session_ = ::fuse_session_new(&args, &operations, sizeof operations, this);
    ::fuse_opt_free_args(&args);
    if (session_ == nullptr || ::fuse_session_mount(session_, mountpoint_.c_str()) != 0)
      throw std::runtime_error("the held files cannot be mounted");
    server_ = std::thread([this] { serve(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      held_.clear();
    }
    release_due();
    const std::uint64_t one = 1;
    (void)!::write(stop_fd_, &one, sizeof one);
    server_.join();
    ::fuse_session_unmount(session_);
    ::fuse_session_destroy(session_);
    ::close(stop_fd_);
  }

  int waiting() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(reads_.size());
  }

  void release(const std::string& name) {
    {
      const std::lock_guard lock(mutex_);
      held_.erase(name);
    }
    release_due();
  }

  const std::string& root() const { return mountpoint_; }

 private:
  struct File {
    std::string name;
    std::string content;
  };
  struct Read {
    fuse_req_t request;
    fuse_ino_t inode;
    std::size_t bytes;
    std::size_t offset;
  };

  // As fuse_session_loop() does it, which only unmounting would end: that closes a descriptor which the loop
  // still reads.
  void serve() {
    fuse_buf buffer{};
    std::array<pollfd, 2> both = {{{::fuse_session_fd(session_), POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
    for (;;) {
      if (::poll(both.data(), both.size(), -1) < 0) continue;
      if (both[1].revents != 0) break;
      const int got = ::fuse_session_receive_buf(session_, &buffer);
      if (got == -EINTR || got == -EAGAIN) continue;
      if (got <= 0) break;
      ::fuse_session_process_buf(session_, &buffer);
    }
    std::free(buffer.mem);
  }

  static Impl& self(fuse_req_t request) { return *static_cast<Impl*>(::fuse_req_userdata(request)); }
  const File& file_of(fuse_ino_t inode) const { return files_[inode - root_inode - 1]; }

  struct stat attributes(fuse_ino_t inode) const {
    struct stat status {};
    status.st_ino = inode;
    status.st_mode = inode == root_inode ? S_IFDIR | 0555 : S_IFREG | 0444;
    status.st_nlink = 1;
    status.st_size = inode == root_inode ? 0 : static_cast<off_t>(file_of(inode).content.size());
    status.st_mtim.tv_sec = 946'684'800;
    return status;
  }

  void lookup(fuse_req_t request, const std::string& name) const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (files_[i].name != name) continue;
      fuse_entry_param entry{};
      entry.ino = root_inode + 1 + i;
      entry.entry_timeout = entry.attr_timeout = forever_s;
      entry.attr = attributes(entry.ino);
      ::fuse_reply_entry(request, &entry);
      return;
    }
    ::fuse_reply_err(request, ENOENT);
  }

  void getattr(fuse_req_t request, fuse_ino_t inode) const {
    const struct stat status = attributes(inode);
    ::fuse_reply_attr(request, &status, forever_s);
  }

  void read(const Read& read) {
    {
      const std::lock_guard lock(mutex_);
      if (held_.count(file_of(read.inode).name) != 0) {
        reads_.push_back(read);
        return;
      }
    }
    reply(read);
  }

  void reply(const Read& read) const {
    const std::string& content = file_of(read.inode).content;
    const std::size_t from = std::min(read.offset, content.size());
    ::fuse_reply_buf(read.request, content.data() + from, std::min(read.bytes, content.size() - from));
  }

  void release_due() {
    std::vector<Read> due;
    {
      const std::lock_guard lock(mutex_);
      for (auto read = reads_.begin(); read != reads_.end();) {
        const bool held = held_.count(file_of(read->inode).name) != 0;
        if (!held) due.push_back(*read);
        read = held ? read + 1 : reads_.erase(read);
      }
    }
    for (const Read& read : due) reply(read);
  }

  TempDir directory_;
  std::string mountpoint_;
  std::vector<File> files_;
  fuse_session* session_ = nullptr;
  int stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
  std::thread server_;
  mutable std::mutex mutex_;
  std::set<std::string> held_;
  std::vector<Read> reads_;
};

bool HeldFiles::available(std::string& why_not) {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    why_not = "/dev/fuse is missing or may not be opened";
    return false;
  }
  ::close(fd);
  return true;
}

HeldFiles::HeldFiles(const std::map<std::string, std::string>& contents) : impl_(std::make_unique<Impl>(contents)) {}
HeldFiles::~HeldFiles() = default;
const std::string& HeldFiles::root() const { return impl_->root(); }
int HeldFiles::waiting() const { return impl_->waiting(); }
void HeldFiles::release(const std::string& name) { impl_->release(name); }

}  // namespace bakeoff::test
