/* A stand-in for libnvidia-ml.so.1: up to eight cards whose values and faults are lines "key value".

   They come from the file that FAKE_NVML_FILE names, read anew at each call, then from the file of the same
   name with ".cuda" behind it, which fake_cuda.c writes, and then from the mood that FAKE_NVML names.
   A key holds for all cards; for one of them it has ".N" behind it, for a MIG instance ".N/migI". A value is
   a number (0x.. too), or the rest of the line where it is text, whatever bytes it has. Beside the values:
     cards NUMBER                 how many there are (2)
     mig.N 1                      this card is in MIG mode
     instances.N MASK             which indices of instances it has (5: 0 and 2)
     name, uuid, pci, profile     text; an instance is named after its card and its profile
     fail CODE, fail.CALL CODE    the error to return; CALL is the function without "nvml" and "DeviceGet"
                                  (or "Device", or "System"); "fail" alone is for what is asked of a handle
     hang.CALL MILLISECONDS       how long to wait before each answer
     hang-after NUMBER            so many of these calls answer at once
     process-bytes 32             what an entry of the _v3 lists of processes takes, as in drivers 535.43 on */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For processes with an environment of their own the file can be built in. */
#ifndef ANSWERS
#define ANSWERS NULL
#endif
static const char *answers(void) {
  const char *named = getenv("FAKE_NVML_FILE");
  return named ? named : ANSWERS;
}

typedef unsigned long long u64;
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
enum { CARDS = 8, INSTANCES = 7, HANDLES = CARDS * (1 + INSTANCES), UNSIGNED_INT = 1, POWER_INSTANT = 186 };
enum { TEXT = 256 };

static const char *const moods[][2] = {
    {"no-driver", "fail.InitWithFlags 9\n"},
    {"no-card", "cards 0\n"},
    {"lost", "fail 15\n"},
    {"one-lost", "fail.1 15\n"},
    {"forbidden", "fail.HandleByIndex_v2.1 4\n"},
    {"old-driver", "driver-version 460.32.03\nfail.MemoryInfo_v2 13\nfail.CurrentClocksEventReasons 13\n"
                   "fail.TemperatureV 13\nfail.ComputeRunningProcesses_v3 13\n"
                   "fail.GraphicsRunningProcesses_v3 13\nfail.ConfComputeMemSizeInfo 13\n"
                   "fail.RunningProcessDetailList 13\n"},
    {"driver-535", "driver-version 535.54.03\nfail.RunningProcessDetailList 13\nprocess-bytes 32\n"},
    {"bare", "fail.FieldValues 3\nfail.TotalEnergyConsumption 3\nfail.ClockInfo 3\nfail.Samples 3\n"
             "fail.CurrentClocksEventReasons 3\nfail.TemperatureV 3\n"
             "fail.ComputeRunningProcesses_v3 3\nfail.MigMode 3\n"},
    {"no-power", "fail.PowerUsage.1 3\n"},
    {"mig", "mig.0 1\nfail.UtilizationRates.0 3\nfail.Samples.0 3\n"},
    {"hang", "hang.PowerUsage 60000\nhang-after 10\n"},
    {"hang-init", "hang.InitWithFlags 60000\n"},
};

/* A handle holds its own number: cards first, then the instances of card 0, of card 1 and so on. */
static int handles[HANDLES];

static int *handle_of(int number) {
  handles[number] = number;
  return &handles[number];
}
static int is_card(const int *handle) { return *handle < CARDS; }
static int card_of(const int *handle) { return is_card(handle) ? *handle : (*handle - CARDS) / INSTANCES; }
static int index_of(const int *handle) { return (*handle - CARDS) % INSTANCES; }

/* What stands behind a key for this handle: ".1", ".1/mig0". */
static void label_of(const int *handle, char *label, size_t size) {
  label[0] = 0;
  if (handle && is_card(handle)) snprintf(label, size, ".%d", *handle);
  if (handle && !is_card(handle)) snprintf(label, size, ".%d/mig%d", card_of(handle), index_of(handle));
}

/* The text behind a key in one text, at most to the line's end; NULL when it is not there. */
static const char *find(const char *text, const char *key) {
  size_t length = strlen(key);
  for (; text && *text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
    if (!strncmp(text, key, length) && text[length] == ' ') return text + length + 1;
  return NULL;
}

static void read_file(const char *path, const char *end, char *content, size_t size) {
  char whole[4096];
  content[0] = 0;
  if (!path) return;
  snprintf(whole, sizeof whole, "%s%s", path, end);
  int fd = open(whole, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t got = read(fd, content, size - 1);
  content[got > 0 ? got : 0] = 0;
  close(fd);
}

/* The text of a key for a handle (NULL: of no card), copied; 1 when there is one. */
static int look_up(const char *key, const int *handle, char *value, size_t size) {
  char file[16384], of_cuda[4096], of_handle[160], label[32];
  const char *path = answers(), *mood = getenv("FAKE_NVML"), *of_mood = "";
  read_file(path, "", file, sizeof file);
  read_file(path, ".cuda", of_cuda, sizeof of_cuda);
  for (size_t i = 0; mood && i < sizeof moods / sizeof *moods; i++)
    if (!strcmp(moods[i][0], mood)) of_mood = moods[i][1];
  const char *texts[] = {file, of_cuda, of_mood};
  label_of(handle, label, sizeof label);
  snprintf(of_handle, sizeof of_handle, "%s%s", key, label);
  for (int i = 0; i < 3; i++) {
    const char *found = find(texts[i], of_handle);
    found = found ? found : find(texts[i], key);
    if (!found) continue;
    size_t length = strcspn(found, "\n");
    length = length < size ? length : size - 1;
    memcpy(value, found, length);
    value[length] = 0;
    return 1;
  }
  return 0;
}

static u64 get(const char *key, const int *handle, u64 otherwise) {
  char text[TEXT];
  return look_up(key, handle, text, sizeof text) ? strtoull(text, NULL, 0) : otherwise;
}

/* Wait and fail as one call is told to. */
static int begin_call(const char *call, const int *handle) {
  static u64 hung;
  char key[80];
  snprintf(key, sizeof key, "hang.%s", call);
  u64 wait_ms = get(key, handle, 0);
  if (wait_ms && ++hung > get("hang-after", handle, 0)) usleep((useconds_t)(wait_ms * 1000));
  snprintf(key, sizeof key, "fail.%s", call);
  return (int)get(key, handle, OK);
}

/* The same with "fail" for every call on a handle; what fails by its own name has that error. */
static int begin(const char *call, const int *handle) {
  int failed = begin_call(call, handle);
  return failed || !handle ? failed : (int)get("fail", handle, OK);
}
#define BEGIN(call, handle) \
  int failed = begin(call, handle); \
  if (failed) return failed
/* For what the driver tells of whole cards only. */
#define BEGIN_CARD(call, handle) \
  BEGIN(call, handle); \
  if (!is_card(handle)) return NOT_SUPPORTED

static int copy(const char *text, char *room, unsigned length) {
  if (strlen(text) >= length) return TOO_SMALL;
  strcpy(room, text);
  return OK;
}

static unsigned card_count(void) {
  u64 count = get("cards", NULL, 2);
  return count < CARDS ? (unsigned)count : CARDS;
}
static int has_instance(int card, unsigned index) {
  int *handle = handle_of(card);
  return get("mig", handle, 0) && index < INSTANCES && get("instances", handle, 5) >> index & 1;
}
static int *instance_of(int card, unsigned index) {
  return handle_of(CARDS + card * INSTANCES + (int)index);
}

/* The text of a key that stands there for this very handle. */
static int own_text(const char *key, const int *handle, char *value, size_t size) {
  char label[32], whole[80];
  label_of(handle, label, sizeof label);
  snprintf(whole, sizeof whole, "%s%s", key, label);
  return look_up(whole, NULL, value, size);
}

static void name_of(const int *handle, char *name, size_t size) {
  char profile[80] = "1g.5gb";
  if (own_text("name", handle, name, size)) return;
  int *card = handle_of(card_of(handle));
  if (!look_up("name", card, name, size)) snprintf(name, size, "Fake Card");
  if (is_card(handle)) return;
  look_up("profile", handle, profile, sizeof profile);
  size_t length = strlen(name);
  snprintf(name + length, size - length, " MIG %s", profile);
}

static void uuid_of(const int *handle, char *uuid, size_t size) {
  if (own_text("uuid", handle, uuid, size)) return;
  const char *kind = is_card(handle) ? "GPU" : "MIG";
  unsigned head = 0x8f0c3a51u + 0x11000000u * (unsigned)card_of(handle);
  snprintf(uuid, size, "%s-%08x-4d2e-5b17-9a64-c08e71d3f2%02x", kind, head, *handle);
}

static void pci_of(const int *handle, char *pci, size_t size) {
  int *card = handle_of(card_of(handle));
  if (!look_up("pci", card, pci, size)) snprintf(pci, size, "00000000:%02X:00.0", 1 + *card);
}

/* The memory of a card or an instance, with what fake_cuda.c has taken. */
struct sizes { u64 total, reserved, used, free; };
static struct sizes sizes_of(const int *handle) {
  struct sizes sizes = {.total = get("total", handle, 8000000000), .reserved = get("reserved", handle, 100)};
  sizes.used = get("used", handle, 1000) + get("allocated", handle, 0);
  u64 taken = sizes.reserved + sizes.used;
  sizes.free = get("free", handle, sizes.total > taken ? sizes.total - taken : 0);
  return sizes;
}

int nvmlInitWithFlags(unsigned flags) {
  BEGIN("InitWithFlags", NULL);
  return flags ? INVALID : OK;
}
int nvmlShutdown(void) { return begin_call("Shutdown", NULL); }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "fault"; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) {
  BEGIN("CudaDriverVersion_v2", NULL);
  *version = (int)get("cuda-version", NULL, 13000);
  return OK;
}
int nvmlSystemGetCudaDriverVersion(int *version) {
  BEGIN("CudaDriverVersion", NULL);
  *version = (int)get("cuda-version", NULL, 13000);
  return OK;
}
int nvmlDeviceGetCount_v2(unsigned *count) {
  BEGIN("Count_v2", NULL);
  *count = card_count();
  return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, int **handle) {
  if (index >= card_count()) return INVALID;
  *handle = handle_of((int)index);
  return begin_call("HandleByIndex_v2", *handle);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, int **handle) {
  char own[TEXT];
  for (unsigned card = 0; card < card_count(); card++) {
    *handle = handle_of((int)card);
    uuid_of(*handle, own, sizeof own);
    if (!strcmp(uuid, own)) return begin_call("HandleByUUID", *handle);
    for (unsigned index = 0; index < INSTANCES; index++) {
      if (!has_instance((int)card, index)) continue;
      *handle = instance_of((int)card, index);
      uuid_of(*handle, own, sizeof own);
      if (!strcmp(uuid, own)) return begin_call("HandleByUUID", *handle);
    }
  }
  int failed = begin_call("HandleByUUID", NULL);
  return failed ? failed : NOT_FOUND;
}
int nvmlDeviceGetIndex(int *handle, unsigned *index) {
  BEGIN("Index", handle);
  *index = (unsigned)(is_card(handle) ? *handle : index_of(handle));
  return OK;
}
int nvmlDeviceGetName(int *handle, char *name, unsigned length) {
  char own[TEXT];
  BEGIN("Name", handle);
  name_of(handle, own, sizeof own);
  return copy(own, name, length);
}
int nvmlDeviceGetUUID(int *handle, char *uuid, unsigned length) {
  char own[TEXT];
  BEGIN("UUID", handle);
  uuid_of(handle, own, sizeof own);
  return copy(own, uuid, length);
}
struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };
int nvmlDeviceGetPciInfo_v3(int *handle, struct pci *pci) {
  char own[TEXT];
  BEGIN("PciInfo_v3", handle);
  pci_of(handle, own, sizeof own);
  memset(pci, 0, sizeof *pci);
  snprintf(pci->bus_id, sizeof pci->bus_id, "%.31s", own);
  snprintf(pci->legacy, sizeof pci->legacy, "%.15s", strlen(own) > 4 ? own + 4 : own);
  sscanf(own, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
  pci->id = 0x248610de;
  return OK;
}

/* What a card is and how it is set: a number or two each. */
#define NUMBER(function, call, key, otherwise) \
  int function(int *handle, unsigned *value) { \
    BEGIN_CARD(call, handle); \
    *value = (unsigned)get(key, handle, otherwise); \
    return OK; \
  }
NUMBER(nvmlDeviceGetPowerManagementLimit, "PowerManagementLimit", "power-limit-mw", 200000)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "PowerManagementDefaultLimit", "power-default-mw", 200000)
NUMBER(nvmlDeviceGetPersistenceMode, "PersistenceMode", "persistence", 1)
NUMBER(nvmlDeviceGetComputeMode, "ComputeMode", "compute-mode", 0)
NUMBER(nvmlDeviceGetDisplayMode, "DisplayMode", "display", 0)
NUMBER(nvmlDeviceGetDisplayActive, "DisplayActive", "display", 0)
NUMBER(nvmlDeviceGetMinorNumber, "MinorNumber", "minor", (u64)*handle)
int nvmlDeviceGetEnforcedPowerLimit(int *handle, unsigned *milliwatts) {
  BEGIN_CARD("EnforcedPowerLimit", handle);
  *milliwatts = (unsigned)get("power-enforced-mw", handle, get("power-limit-mw", handle, 200000));
  return OK;
}
int nvmlDeviceGetCudaComputeCapability(int *handle, int *major, int *minor) {
  BEGIN_CARD("CudaComputeCapability", handle);
  int capability = (int)get("capability", handle, 86);
  *major = capability / 10, *minor = capability % 10;
  return OK;
}
int nvmlDeviceGetEccMode(int *handle, unsigned *current, unsigned *pending) {
  BEGIN_CARD("EccMode", handle);
  *current = (unsigned)get("ecc", handle, 0), *pending = (unsigned)get("ecc-pending", handle, *current);
  return OK;
}
int nvmlDeviceGetCpuAffinity(int *handle, unsigned size, unsigned long *set) {
  BEGIN_CARD("CpuAffinity", handle);
  memset(set, 0, size * sizeof *set);
  if (size) set[0] = (unsigned long)get("affinity", handle, 3);
  return OK;
}
/* kind: 0 graphics, 1 SM, 2 memory */
static int clock(const char *key, const int *handle, unsigned kind, u64 sm, u64 memory, unsigned *mhz) {
  char whole[80];
  snprintf(whole, sizeof whole, "%s%s-mhz", key, kind == 2 ? "mem" : "sm");
  *mhz = (unsigned)get(whole, handle, kind == 2 ? memory : sm);
  return kind <= 2 ? OK : INVALID;
}
#define CLOCK(call, key, sm, memory) \
  int nvmlDeviceGet##call(int *handle, unsigned kind, unsigned *mhz) { \
    BEGIN_CARD(#call, handle); \
    return clock(key, handle, kind, sm, memory, mhz); \
  }
CLOCK(ClockInfo, "", 1400, 5000)
CLOCK(ApplicationsClock, "app-", 1410, 5001)
CLOCK(DefaultApplicationsClock, "app-default-", 1410, 5001)
CLOCK(MaxClockInfo, "max-", 2100, 5001)

struct utilisation { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(int *handle, struct utilisation *rates) {
  BEGIN_CARD("UtilizationRates", handle);
  rates->gpu = (unsigned)get("util", handle, 40 + 10 * (u64)*handle);
  rates->memory = (unsigned)get("mem-util", handle, 7);
  return OK;
}

struct memory { u64 total, free, used; };
struct memory_v2 { unsigned version; u64 total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(int *handle, struct memory_v2 *memory) {
  BEGIN("MemoryInfo_v2", handle);
  if (memory->version != (sizeof *memory | 2 << 24)) return INVALID;
  struct sizes sizes = sizes_of(handle);
  memory->total = sizes.total, memory->free = sizes.free;
  memory->reserved = sizes.reserved, memory->used = sizes.used;
  return OK;
}
int nvmlDeviceGetMemoryInfo(int *handle, struct memory *memory) {
  BEGIN("MemoryInfo", handle);
  struct sizes sizes = sizes_of(handle);
  memory->total = sizes.total, memory->free = sizes.free, memory->used = sizes.used + sizes.reserved;
  return OK;
}

int nvmlDeviceGetPowerUsage(int *handle, unsigned *milliwatts) {
  BEGIN_CARD("PowerUsage", handle);
  *milliwatts = (unsigned)get("power-mw", handle, 50250);
  return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(int *handle, u64 *millijoules) {
  BEGIN_CARD("TotalEnergyConsumption", handle);
  *millijoules = get("energy-mj", handle, 7000000);
  return OK;
}

union value { double d; unsigned ui; u64 ull; };
struct field {
  unsigned id, scope;
  long long timestamp, latency_us;
  unsigned type;
  int returned;
  union value value;
};
int nvmlDeviceGetFieldValues(int *handle, int count, struct field *fields) {
  BEGIN_CARD("FieldValues", handle);
  for (int i = 0; i < count; i++) {
    fields[i].type = UNSIGNED_INT;
    fields[i].value.ui = (unsigned)get("power-instant-mw", handle, 61500);
    /* The call succeeds though a field fails. */
    fields[i].returned = (int)get("fail-field", handle, OK);
    if (fields[i].id != POWER_INSTANT || fields[i].scope) fields[i].returned = INVALID;
  }
  return OK;
}

int nvmlDeviceGetCurrentClocksEventReasons(int *handle, u64 *mask) {
  BEGIN_CARD("CurrentClocksEventReasons", handle);
  *mask = get("throttle", handle, 1);
  return OK;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(int *handle, u64 *mask) {
  BEGIN_CARD("CurrentClocksThrottleReasons", handle);
  *mask = get("throttle", handle, 2);
  return OK;
}

struct temperature { unsigned version, sensor; int celsius; };
int nvmlDeviceGetTemperatureV(int *handle, struct temperature *temperature) {
  BEGIN_CARD("TemperatureV", handle);
  if (temperature->version != (sizeof *temperature | 1 << 24) || temperature->sensor) return INVALID;
  temperature->celsius = (int)get("temp", handle, 60 + (u64)*handle);
  return OK;
}
int nvmlDeviceGetTemperature(int *handle, unsigned sensor, unsigned *celsius) {
  BEGIN_CARD("Temperature", handle);
  *celsius = (unsigned)get("temp", handle, 40);
  return sensor ? INVALID : OK;
}
struct process { unsigned pid; u64 used; unsigned instance, compute_instance; };
struct process_535 { struct process process; u64 protected; };
/* Keys KIND-pid-N and KIND-used-N; -1 as used is "not available". */
static int processes(const char *kind, int *handle, unsigned *count, void *found, size_t bytes) {
  unsigned room = *count;
  unsigned instance = is_card(handle) ? -1U : (unsigned)index_of(handle) + 1;
  char key[80], pid[TEXT];
  for (*count = 0;; (*count)++) {
    snprintf(key, sizeof key, "%s-pid-%u", kind, *count + 1);
    if (!look_up(key, handle, pid, sizeof pid)) break;
    snprintf(key, sizeof key, "%s-used-%u", kind, *count + 1);
    struct process_535 entry = {{(unsigned)strtoull(pid, NULL, 0), get(key, handle, 300), instance, -1U}, 0};
    if (!is_card(handle)) entry.process.compute_instance = 0;
    if (found && *count < room) memcpy((char *)found + *count * bytes, &entry, bytes);
  }
  return *count > room ? TOO_SMALL : OK;
}
#define PROCESSES(call, kind, bytes) \
  int nvmlDeviceGet##call(int *handle, unsigned *count, void *found) { \
    BEGIN(#call, handle); \
    return processes(kind, handle, count, found, bytes); \
  }
PROCESSES(ComputeRunningProcesses_v3, "compute", get("process-bytes", NULL, sizeof(struct process)))
PROCESSES(ComputeRunningProcesses_v2, "compute", sizeof(struct process))
PROCESSES(GraphicsRunningProcesses_v3, "graphics", get("process-bytes", NULL, sizeof(struct process)))
PROCESSES(GraphicsRunningProcesses_v2, "graphics", sizeof(struct process))
struct details { unsigned version, mode, count; struct process_535 *found; };
int nvmlDeviceGetRunningProcessDetailList(int *handle, struct details *details) {
  BEGIN("RunningProcessDetailList", handle);
  const char *kind = details->mode == 0 ? "compute" : "graphics";
  return processes(kind, handle, &details->count, details->found, sizeof(struct process_535));
}
struct protected_sizes { u64 protected_kib, unprotected_kib; };
int nvmlDeviceGetConfComputeMemSizeInfo(int *handle, struct protected_sizes *sizes) {
  BEGIN("ConfComputeMemSizeInfo", handle);
  sizes->protected_kib = 0, sizes->unprotected_kib = sizes_of(handle).total / 1024;
  return OK;
}

struct sample { u64 time_us; union value value; };
/* sample-from, sample-to and sample-step, in microseconds: the buffer; each value is its number. */
int nvmlDeviceGetSamples(int *handle, unsigned kind, u64 after_us, unsigned *type, unsigned *count,
                         struct sample *samples) {
  BEGIN_CARD("Samples", handle);
  if (kind != 1) return INVALID;
  u64 from = get("sample-from", handle, 0), to = get("sample-to", handle, 0);
  u64 step = get("sample-step", handle, 200000);
  unsigned room = *count;
  *type = UNSIGNED_INT, *count = 0;
  for (u64 at = from; from && at <= to; at += step)
    if (at > after_us) {
      if (samples && *count < room) samples[*count] = (struct sample){at, {.ui = (unsigned)((at - from) / step)}};
      (*count)++;
    }
  return *count ? OK : NOT_FOUND;
}

int nvmlDeviceGetMigMode(int *handle, unsigned *current, unsigned *pending) {
  BEGIN_CARD("MigMode", handle);
  *current = *pending = (unsigned)get("mig", handle, 0);
  return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(int *handle, unsigned *count) {
  BEGIN_CARD("MaxMigDeviceCount", handle);
  *count = INSTANCES;
  return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(int *handle, unsigned index, int **instance) {
  BEGIN_CARD("MigDeviceHandleByIndex", handle);
  if (!has_instance(*handle, index)) return NOT_FOUND;
  *instance = instance_of(*handle, index);
  return OK;
}
int nvmlDeviceIsMigDeviceHandle(int *handle, unsigned *is_instance) {
  BEGIN("IsMigDeviceHandle", handle);
  *is_instance = !is_card(handle);
  return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(int *handle, int **card) {
  BEGIN("DeviceHandleFromMigDeviceHandle", handle);
  if (is_card(handle)) return INVALID;
  *card = handle_of(card_of(handle));
  return OK;
}
int nvmlDeviceGetGpuInstanceId(int *handle, unsigned *id) {
  BEGIN("GpuInstanceId", handle);
  *id = is_card(handle) ? 0 : (unsigned)index_of(handle) + 1;
  return is_card(handle) ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetComputeInstanceId(int *handle, unsigned *id) {
  BEGIN("ComputeInstanceId", handle);
  *id = 0;
  return is_card(handle) ? NOT_SUPPORTED : OK;
}
