/* A stand-in for libcuda.so.1: it sees the cards of fake_nvml.c, as CUDA_VISIBLE_DEVICES lets it.

   Keys of its own in the same file:
     cuda-fail.CALL CODE    the CUresult to return; CALL is the function without "cu"
     fastest NUMBER         this card is CUDA's first, unless CUDA_DEVICE_ORDER is PCI_BUS_ID
   What is taken here the stand-in driver shows: it is written to the file of FAKE_NVML_FILE with ".cuda" behind
   its name. One process has one context on one device. Of large memory only the first MiB is really written. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)
#include "fake_nvml.c"
#pragma GCC visibility pop

enum { OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201 };
enum { BLOCKS = 16, WRITTEN = 1 << 20, BUSY_PCT = 97 };
static int *devices[HANDLES];
static int device_count, initialised;
static int *in_use;
static struct block { char *memory; size_t size; } blocks[BLOCKS];
static int busy;

static int fails(const char *call) {
  char key[80];
  snprintf(key, sizeof key, "cuda-fail.%s", call);
  return (int)get(key, NULL, OK);
}
#define FAILS(call) \
  int failed = fails(call); \
  if (!failed && !initialised) failed = NOT_INITIALIZED; \
  if (failed) return failed

/* CUDA sees one instance of a card in MIG mode. */
static int *seen_of(int card) {
  for (unsigned index = 0; index < INSTANCES; index++)
    if (has_instance(card, index)) return instance_of(card, index);
  return handle_of(card);
}

static int in_order(int place) {
  const char *order = getenv("CUDA_DEVICE_ORDER");
  int fastest = (int)get("fastest", NULL, 0);
  if (order && !strcmp(order, "PCI_BUS_ID")) fastest = 0;
  if (place == 0) return fastest;
  return place <= fastest ? place - 1 : place;
}

/* The device that one word of CUDA_VISIBLE_DEVICES names; NULL for none. */
static int *named(const char *word, size_t length) {
  char uuid[TEXT], *end;
  int *found = NULL;
  unsigned long place = strtoul(word, &end, 10);
  if (end == word + length && length) return place < card_count() ? seen_of(in_order((int)place)) : NULL;
  for (int number = 0; number < HANDLES && length > 4; number++) {
    int *handle = handle_of(number);
    if ((unsigned)card_of(handle) >= card_count()) continue;
    if (!is_card(handle) && !has_instance(card_of(handle), (unsigned)index_of(handle))) continue;
    uuid_of(handle, uuid, sizeof uuid);
    if (strncmp(uuid, word, length) || (!is_card(handle) && uuid[length])) continue;
    if (found) return NULL; /* the beginning of several */
    found = is_card(handle) ? seen_of(number) : handle;
  }
  return found;
}

/* The first word that names nothing ends the list. */
static void find_devices(void) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  device_count = 0;
  for (int place = 0; !visible && place < (int)card_count(); place++)
    devices[device_count++] = seen_of(in_order(place));
  while (visible && *visible) {
    size_t length = strcspn(visible, ",");
    int *device = named(visible, length);
    if (!device) return;
    devices[device_count++] = device;
    visible += length + (visible[length] == ',');
  }
}

/* Tell the stand-in driver what is taken. */
static void tell(void) {
  const char *path = answers();
  char whole[4096], part[4200], label[32], card[32];
  if (!path || !in_use) return;
  size_t taken = 0;
  for (int i = 0; i < BLOCKS; i++) taken += blocks[i].size;
  snprintf(whole, sizeof whole, "%s.cuda", path);
  snprintf(part, sizeof part, "%s.part", whole);
  FILE *file = fopen(part, "w");
  if (!file) return;
  label_of(in_use, label, sizeof label);
  label_of(handle_of(card_of(in_use)), card, sizeof card);
  fprintf(file, "allocated%s %zu\ncompute-pid-1%s %d\ncompute-used-1%s %zu\n", label, taken, label, getpid(), label,
          taken);
  if (!is_card(in_use)) fprintf(file, "allocated%s %zu\n", card, taken);
  if (busy) fprintf(file, "util%s %d\n", card, BUSY_PCT);
  fclose(file);
  rename(part, whole);
}

int cuInit(unsigned flags) {
  int failed = fails("Init");
  if (failed || flags) return failed ? failed : INVALID;
  find_devices();
  initialised = device_count > 0;
  return initialised ? OK : NO_DEVICE;
}
int cuDriverGetVersion(int *version) {
  *version = (int)get("cuda-version", NULL, 13000);
  return fails("DriverGetVersion");
}
int cuDeviceGetCount(int *count) {
  FAILS("DeviceGetCount");
  *count = device_count;
  return OK;
}
int cuDeviceGet(int *device, int place) {
  FAILS("DeviceGet");
  if (place < 0 || place >= device_count) return INVALID_DEVICE;
  *device = *devices[place];
  return OK;
}
int cuDeviceGetName(char *name, int length, int device) {
  char own[TEXT];
  FAILS("DeviceGetName");
  name_of(handle_of(device), own, sizeof own);
  snprintf(name, (size_t)length, "%s", own);
  return OK;
}
static void bytes_of(const int *handle, unsigned char *bytes) {
  char uuid[TEXT];
  uuid_of(handle, uuid, sizeof uuid);
  memset(bytes, 0, 16);
  const char *digit = uuid + 4;
  for (int i = 0; i < 16 && *digit; i++) {
    unsigned byte = 0;
    digit += *digit == '-';
    sscanf(digit, "%2x", &byte);
    bytes[i] = (unsigned char)byte;
    digit += strlen(digit) >= 2 ? 2 : 1;
  }
}
int cuDeviceGetUuid_v2(unsigned char *bytes, int device) {
  FAILS("DeviceGetUuid_v2");
  bytes_of(handle_of(device), bytes);
  return OK;
}
/* Of an instance that of its card. */
int cuDeviceGetUuid(unsigned char *bytes, int device) {
  FAILS("DeviceGetUuid");
  bytes_of(handle_of(card_of(handle_of(device))), bytes);
  return OK;
}
int cuDeviceGetPCIBusId(char *bus, int length, int device) {
  char pci[TEXT];
  FAILS("DeviceGetPCIBusId");
  pci_of(handle_of(device), pci, sizeof pci);
  snprintf(bus, (size_t)length, "%s", strlen(pci) == 16 ? pci + 4 : pci);
  return OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  FAILS("DeviceGetAttribute");
  int capability = (int)get("capability", handle_of(card_of(handle_of(device))), 86);
  if (attribute != 75 && attribute != 76) return INVALID;
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return OK;
}

int cuCtxCreate_v2(void **context, unsigned flags, int device) {
  FAILS("CtxCreate_v2");
  (void)flags;
  if (device < 0 || device >= HANDLES) return INVALID_DEVICE;
  in_use = handle_of(device);
  *context = in_use;
  tell();
  return OK;
}
int cuCtxDestroy_v2(void *context) {
  char whole[4096];
  FAILS("CtxDestroy_v2");
  if (!in_use || context != in_use) return INVALID_CONTEXT;
  in_use = NULL, busy = 0;
  const char *path = answers();
  if (path) {
    snprintf(whole, sizeof whole, "%s.cuda", path);
    unlink(whole);
  }
  return OK;
}
int cuCtxSynchronize(void) {
  FAILS("CtxSynchronize");
  usleep(1000);
  return in_use ? OK : INVALID_CONTEXT;
}
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
  FAILS("MemGetInfo_v2");
  if (!in_use) return INVALID_CONTEXT;
  struct sizes sizes = sizes_of(in_use);
  *free_bytes = sizes.free, *total_bytes = sizes.total;
  return OK;
}
int cuMemAlloc_v2(u64 *address, size_t size) {
  FAILS("MemAlloc_v2");
  if (!in_use) return INVALID_CONTEXT;
  if (!size) return INVALID;
  int place = 0;
  while (place < BLOCKS && blocks[place].memory) place++;
  if (size > sizes_of(in_use).free || place == BLOCKS) return OUT_OF_MEMORY;
  blocks[place] = (struct block){malloc(size), size};
  *address = (u64)(size_t)blocks[place].memory;
  tell();
  return OK;
}
static struct block *block_of(u64 address) {
  for (int i = 0; i < BLOCKS; i++)
    if (address && blocks[i].memory == (char *)(size_t)address) return &blocks[i];
  return NULL;
}
int cuMemFree_v2(u64 address) {
  FAILS("MemFree_v2");
  struct block *block = block_of(address);
  if (!block) return INVALID;
  free(block->memory);
  *block = (struct block){NULL, 0};
  tell();
  return OK;
}
int cuMemsetD8_v2(u64 address, unsigned char value, size_t count) {
  FAILS("MemsetD8_v2");
  struct block *block = block_of(address);
  if (!block || count > block->size) return INVALID;
  memset(block->memory, value, count < WRITTEN ? count : WRITTEN);
  if (!busy) {
    busy = 1;
    tell();
  }
  return OK;
}
int cuMemcpyHtoD_v2(u64 address, const void *from, size_t count) {
  FAILS("MemcpyHtoD_v2");
  struct block *block = block_of(address);
  if (!block || count > block->size) return INVALID;
  memcpy(block->memory, from, count);
  return OK;
}
int cuMemcpyDtoH_v2(void *to, u64 address, size_t count) {
  FAILS("MemcpyDtoH_v2");
  struct block *block = block_of(address);
  if (!block || count > block->size) return INVALID;
  memcpy(to, block->memory, count);
  return OK;
}

static const struct { int code; const char *name, *text; } errors[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
int cuGetErrorName(int code, const char **name) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].code == code) return *name = errors[i].name, OK;
  return *name = NULL, 1;
}
int cuGetErrorString(int code, const char **text) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].code == code) return *text = errors[i].text, OK;
  return *text = NULL, 1;
}
