#define FUSE_USE_VERSION 312
#include "harness/slowdisk/file_system.h"

#include <fcntl.h>
#include <fuse_log.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdarg>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/signals.h"
#include "core/trace/recorder.h"
#include "harness/slowdisk/cache_account.h"

namespace bakeoff {

namespace {

constexpr double forever_s = 1e9;              // names and attributes never change: the kernel need not ask twice
constexpr std::int64_t made_at = 946'684'800;  // 2000-01-01, so that ETags are the same in every run

std::string libfuse_said;  // its last message, for the one line that a failed mount prints

void keep_message(fuse_log_level, const char* format, va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  libfuse_said = text;
  while (!libfuse_said.empty() && libfuse_said.back() == '\n') libfuse_said.pop_back();
}

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

// Three threads, because a call that evicts pages waits for reads of the same pages that are under way:
// - the caller of run() takes requests from the kernel and never waits for anything else;
// - the replier sleeps until the disk model is done with a read and answers it;
// - the evictor evicts pages, and may wait for the other two.
class SlowDiskFileSystem::Impl {
  struct Node {
    bool directory = true;
    std::uint32_t file = 0;  // into the file set
    std::map<std::string, fuse_ino_t, std::less<>> children;
  };

  // A read that waits for the disk; the model's tag.
  struct PendingRead {
    fuse_req_t request;
    std::uint32_t file;
    std::uint64_t offset;
    std::size_t bytes;
  };

 public:
  Impl(const FileSet& files, const SlowDiskOptions& options)
      : files_(files),
        options_(options),
        model_(options.prefill.empty() ? options.disk : DiskParameters{}, options.seed),
        account_(options.cache_bytes),
        buffer_(1 << 20) {
    make_tree();
    record_arms();
    require_fuse();
    mount();
    const sigset_t signals = heeded({SIGINT, SIGTERM, SIGHUP});
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal_fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    evictor_ended_fd_ = ::eventfd(0, EFD_CLOEXEC);
    BAKEOFF_CHECK(signal_fd_ >= 0 && evictor_ended_fd_ >= 0);
  }

  ~Impl() {
    ::fuse_session_unmount(session_);
    ::fuse_session_destroy(session_);  // closes the connection: readers that still wait get an error, none hangs
    ::close(signal_fd_);
    ::close(evictor_ended_fd_);
  }

  SlowDiskStatistics run(const std::function<void()>& ready) {
    start_ns_ = now_ns();
    std::thread replier([this] { reply_when_due(); });
    std::thread filler([this, &ready] {
      if (!prefill()) return;
      start_ns_ = now_ns();
      ready();
    });
    std::thread evictor([this, &filler] {
      evict();
      filler.join();
      const std::uint64_t one = 1;
      BAKEOFF_CHECK(::write(evictor_ended_fd_, &one, sizeof one) == sizeof one);
    });
    take_requests();
    evictor.join();
    {
      const std::lock_guard lock(model_mutex_);
      flushing_ = true;
    }
    model_changed_.notify_one();
    replier.join();
    return {model_.statistics(), static_cast<double>(now_ns() - start_ns_) / 1e9, account_.resident_bytes(),
            account_.dropped_bytes()};
  }

 private:
  static Impl& self(fuse_req_t request) { return *static_cast<Impl*>(::fuse_req_userdata(request)); }

  void make_tree() {
    nodes_.emplace_back();  // the root, inode 1
    for (std::uint32_t file = 0; file < files_.size(); ++file) {
      if (!files_[file].on_disk) {
        inode_of_file_.push_back(0);
        continue;
      }
      std::string_view rest = std::string_view(files_[file].path).substr(1);
      std::size_t node = 0;
      while (!rest.empty()) {
        const std::size_t slash = rest.find('/');
        const std::string name(rest.substr(0, slash));
        const auto [child, added] = nodes_[node].children.emplace(name, nodes_.size() + 1);
        node = child->second - 1;
        if (added) nodes_.emplace_back();
        rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
      }
      nodes_[node].directory = false;
      nodes_[node].file = file;
      inode_of_file_.push_back(node + 1);
    }
  }

  void record_arms() {
    if (options_.trace_events == 0) return;
    trace_.emplace(options_.trace_events);
    for (std::uint32_t arm = 0; arm < options_.disk.arms; ++arm) {
      arms_.emplace_back(*trace_, "disk arm", LaneKind::arm);
      arms_.back().rename("disk arm", static_cast<int>(arm) + 1);
    }
  }

  static void require_fuse() {
    if (::access("/dev/fuse", F_OK) != 0) {
      throw StartError(
          "there is no /dev/fuse; load the kernel's module (modprobe fuse), or in a container pass the device in "
          "(--device /dev/fuse)");
    }
    const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
      throw StartError("cannot open /dev/fuse: " + std::string(std::strerror(errno)) +
                       "; run as root, or make it accessible");
    ::close(fd);
  }

  void mount() {
    const char* mountpoint = options_.mountpoint.c_str();
    struct stat status {};
    // What a program that was killed leaves behind refuses every call with ENOTCONN.
    if (::stat(mountpoint, &status) != 0 && errno == ENOTCONN && ::umount2(mountpoint, MNT_DETACH) != 0) {
      throw StartError(options_.mountpoint.string() +
                       " is the stale mount of a program that died; run: fusermount3 -u -z " +
                       options_.mountpoint.string());
    }
    std::error_code error;
    std::filesystem::create_directories(options_.mountpoint, error);
    if (error) throw StartError("cannot make the directory " + options_.mountpoint.string() + ": " + error.message());

    ::fuse_set_log_func(keep_message);
    std::string words = "ro,fsname=bakeoff-slowdisk,subtype=slowdisk";
    if (::geteuid() == 0) words += ",allow_other";  // others need user_allow_other in /etc/fuse.conf for that
    std::array<std::string, 3> texts = {"bakeoff-slowdisk", "-o", words};
    std::array<char*, 3> arguments = {texts[0].data(), texts[1].data(), texts[2].data()};
    fuse_args args = FUSE_ARGS_INIT(static_cast<int>(arguments.size()), arguments.data());

    fuse_lowlevel_ops operations{};
    operations.init = [](void* self, fuse_conn_info* connection) { static_cast<Impl*>(self)->initialise(*connection); };
    operations.lookup = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
      self(request).lookup(request, parent, name);
    };
    operations.getattr = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
      self(request).getattr(request, inode);
    };
    operations.open = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) { open(request); };
    operations.read = [](fuse_req_t request, fuse_ino_t inode, std::size_t bytes, off_t offset, fuse_file_info*) {
      self(request).read(request, inode, bytes, offset);
    };
    operations.readdir = [](fuse_req_t request, fuse_ino_t inode, std::size_t bytes, off_t offset, fuse_file_info*) {
      self(request).readdir(request, inode, bytes, offset);
    };
    session_ = ::fuse_session_new(&args, &operations, sizeof operations, this);
    ::fuse_opt_free_args(&args);
    if (session_ == nullptr) throw StartError("cannot set up FUSE: " + libfuse_said);
    if (::fuse_session_mount(session_, mountpoint) != 0) {
      ::fuse_session_destroy(session_);
      throw StartError("cannot mount at " + options_.mountpoint.string() +
                       (libfuse_said.empty() ? "" : ": " + libfuse_said));
    }
    const int fd = ::fuse_session_fd(session_);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  }

  void initialise(fuse_conn_info& connection) const {
    connection.max_readahead = std::min(connection.max_readahead, options_.readahead_bytes);
    // The default of 12 requests ahead would be a second, hidden limit on the disk's parallelism.
    connection.max_background = 4096;
    connection.congestion_threshold = 4096;
    connection.want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                              FUSE_CAP_SPLICE_MOVE);
  }

  struct stat attributes(fuse_ino_t inode) const {
    const Node& node = nodes_[inode - 1];
    struct stat status {};
    status.st_ino = inode;
    status.st_mode = node.directory ? S_IFDIR | 0555 : S_IFREG | 0444;
    status.st_nlink = node.directory ? 2 : 1;
    status.st_size = node.directory ? 0 : static_cast<off_t>(files_[node.file].size_bytes);
    status.st_blocks = (status.st_size + 511) / 512;
    status.st_uid = ::geteuid();
    status.st_gid = ::getegid();
    status.st_mtim.tv_sec = status.st_ctim.tv_sec = status.st_atim.tv_sec = made_at;
    return status;
  }

  void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) const {
    const auto& children = nodes_[parent - 1].children;
    const auto found = children.find(std::string_view(name));
    fuse_entry_param entry{};
    entry.entry_timeout = entry.attr_timeout = forever_s;
    if (found != children.end()) {  // otherwise inode 0: the kernel remembers that there is none
      entry.ino = found->second;
      entry.attr = attributes(found->second);
    }
    ::fuse_reply_entry(request, &entry);
  }

  void getattr(fuse_req_t request, fuse_ino_t inode) const {
    const struct stat status = attributes(inode);
    ::fuse_reply_attr(request, &status, forever_s);
  }

  // "Not implemented" means to the kernel: open without asking, now and ever after, and keep the cache. It saves two
  // calls for each open file.
  static void open(fuse_req_t request) { ::fuse_reply_err(request, ENOSYS); }

  void read(fuse_req_t request, fuse_ino_t inode, std::size_t bytes, off_t offset) {
    const std::uint32_t file = nodes_[inode - 1].file;
    const std::uint64_t size = files_[file].size_bytes, from = static_cast<std::uint64_t>(offset);
    if (from >= size) {
      ::fuse_reply_buf(request, nullptr, 0);
      return;
    }
    auto* pending = new PendingRead{request, file, from, std::min<std::size_t>(bytes, size - from)};
    {
      const std::lock_guard lock(model_mutex_);
      model_.submit({file, from, pending->bytes, pending}, now_ns());
    }
    model_changed_.notify_one();
  }

  void readdir(fuse_req_t request, fuse_ino_t inode, std::size_t bytes, off_t offset) const {
    const auto& children = nodes_[inode - 1].children;
    std::vector<char> list(bytes);
    std::size_t used = 0;
    off_t position = 0;
    for (const auto& [name, child] : children) {
      if (position++ < offset) continue;
      const struct stat status = attributes(child);
      const std::size_t needed =
          ::fuse_add_direntry(request, list.data() + used, bytes - used, name.c_str(), &status, position);
      if (needed > bytes - used) break;
      used += needed;
    }
    ::fuse_reply_buf(request, list.data(), used);
  }

  // Reads files as anybody would, while the disk takes no time; then the disk becomes what was asked for. False when
  // told to end meanwhile.
  bool prefill() {
    if (options_.prefill.empty()) {
      const std::lock_guard lock(model_mutex_);
      is_filled_ = true;
      return true;
    }
    std::vector<char> scratch(1 << 17);
    for (const std::uint32_t file : options_.prefill) {
      {
        const std::lock_guard lock(eviction_mutex_);
        if (evictor_stops_) return false;
      }
      const int fd = ::open((options_.mountpoint.string() + files_[file].path).c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) return false;  // it was unmounted
      while (::read(fd, scratch.data(), scratch.size()) > 0) {
      }
      ::close(fd);
    }
    std::unique_lock lock(model_mutex_);
    while (model_.next_completion_ns()) {  // what the kernel reads ahead, nobody waits for
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
    }
    model_ = DiskModel(options_.disk, options_.seed);
    is_filled_ = true;
    return true;
  }

  void take_requests() {
    fuse_buf request{};
    bool stopping = false;
    for (;;) {
      std::array<pollfd, 3> waits = {
          {{::fuse_session_fd(session_), POLLIN, 0}, {signal_fd_, POLLIN, 0}, {evictor_ended_fd_, POLLIN, 0}}};
      if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) break;
      if (waits[2].revents != 0) break;
      // The evictor, or who fills the cache, may be waiting for a read that only we can take: requests are served until
      // both have ended.
      if (waits[1].revents != 0) {
        signalfd_siginfo ignored;
        while (::read(signal_fd_, &ignored, sizeof ignored) > 0) {
        }
        if (!stopping) stop_evictor();
        stopping = true;
      }
      if (waits[0].revents == 0) continue;
      const int got = ::fuse_session_receive_buf(session_, &request);
      if (got == -EINTR || got == -EAGAIN) continue;
      if (got <= 0) {  // unmounted by somebody else
        stop_evictor();
        break;
      }
      ::fuse_session_process_buf(session_, &request);
    }
    std::free(request.mem);
  }

  void reply_when_due() {
    ::prctl(PR_SET_TIMERSLACK, 1);  // the usual 50 us are half of a solid-state disk's time
    std::unique_lock lock(model_mutex_);
    for (;;) {
      const std::optional<std::int64_t> next_ns = model_.next_completion_ns();
      const std::int64_t due_ns = flushing_ ? std::numeric_limits<std::int64_t>::max() : now_ns();
      if (!next_ns) {
        if (flushing_) return;
        model_changed_.wait(lock);
      } else if (*next_ns > due_ns) {
        model_changed_.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(*next_ns)));
      } else {
        const std::optional<DiskRequest> done = model_.take_completed(due_ns);
        const bool recorded = done->arm < arms_.size() && is_filled_;
        lock.unlock();
        if (recorded) {
          TraceEvent served;
          served.kind = TraceKind::served;
          served.begin_ns = done->started_ns;
          served.end_ns = done->ended_ns;
          served.amount = static_cast<std::uint64_t>(done->submitted_ns);
          arms_[done->arm].add(served);
        }
        reply(std::unique_ptr<PendingRead>(static_cast<PendingRead*>(done->tag)));
        lock.lock();
      }
    }
  }

  void reply(std::unique_ptr<PendingRead> read) {
    if (buffer_.size() < read->bytes) buffer_.resize(read->bytes);
    content(files_[read->file].content_seed, read->offset, {buffer_.data(), read->bytes});
    ::fuse_reply_buf(read->request, buffer_.data(), read->bytes);

    const std::uint64_t first_page = read->offset / cache_page_bytes;
    const std::uint64_t end_page = (read->offset + read->bytes + cache_page_bytes - 1) / cache_page_bytes;
    const std::vector<PageRange> old = account_.read({read->file, first_page, end_page - first_page});
    if (old.empty()) return;
    {
      const std::lock_guard lock(eviction_mutex_);
      evictions_.insert(evictions_.end(), old.begin(), old.end());
    }
    eviction_wanted_.notify_one();
  }

  void evict() {
    std::unique_lock lock(eviction_mutex_);
    for (;;) {
      eviction_wanted_.wait(lock, [this] { return evictor_stops_ || !evictions_.empty(); });
      if (evictor_stops_) break;
      const PageRange range = evictions_.front();
      evictions_.pop_front();
      lock.unlock();
      // An inode that the kernel has forgotten has no pages either: ENOENT is as good.
      ::fuse_lowlevel_notify_inval_inode(session_, inode_of_file_[range.file],
                                         static_cast<off_t>(range.first_page * cache_page_bytes),
                                         static_cast<off_t>(range.pages * cache_page_bytes));
      lock.lock();
    }
  }

  void stop_evictor() {
    {
      const std::lock_guard lock(eviction_mutex_);
      evictor_stops_ = true;
    }
    eviction_wanted_.notify_one();
  }

  const FileSet& files_;
  const SlowDiskOptions options_;
  std::vector<Node> nodes_;  // the inode's number less one
  std::vector<fuse_ino_t> inode_of_file_;
  fuse_session* session_ = nullptr;
  int signal_fd_ = -1;
  int evictor_ended_fd_ = -1;
  std::atomic<std::int64_t> start_ns_ = 0;

  std::mutex model_mutex_;
  std::condition_variable model_changed_;
  DiskModel model_;
  bool flushing_ = false;
  bool is_filled_ = false;  // what the cache was filled with is not recorded

  std::optional<TraceRegion> trace_;
  std::vector<TraceRecorder> arms_;  // the replier's own

  CacheAccount account_;      // the replier's own
  std::vector<char> buffer_;  // the replier's own

  std::mutex eviction_mutex_;
  std::condition_variable eviction_wanted_;
  std::deque<PageRange> evictions_;
  bool evictor_stops_ = false;
};

SlowDiskFileSystem::SlowDiskFileSystem(const FileSet& files, const SlowDiskOptions& options)
    : impl_(std::make_unique<Impl>(files, options)) {}
SlowDiskFileSystem::~SlowDiskFileSystem() = default;
SlowDiskStatistics SlowDiskFileSystem::run(const std::function<void()>& ready) { return impl_->run(ready); }

}  // namespace bakeoff
