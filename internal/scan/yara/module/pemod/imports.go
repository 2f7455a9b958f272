package pemod

import (
	"crypto/md5" //nolint:gosec // the import hash is defined with it
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

type library struct {
	name  string
	funcs []function
}

type function struct {
	name    string
	ordinal int64 // -1 for none
	rva     int64
}

// imports reads import descriptors of 20 bytes.
func (f *file) imports(at int64, _ bool) []library {
	var out []library
	total := 0
	if at == 0 {
		return nil
	}
	for i := range int64(maxLibraries) {
		d := f.at(at+20*i, 20)
		if d == nil || u32(d, 12) == 0 {
			return out
		}
		lookup, thunks := u32(d, 0), u32(d, 16)
		if name, ok := f.name(u32(d, 12)); ok && validLibrary(name) {
			l := library{name: name, funcs: f.thunks(lookup, thunks, 0, &total)}
			if len(l.funcs) > 0 {
				out = append(out, l)
			}
		}
	}
	return out
}

// thunks reads the functions of one library.
func (f *file) thunks(lookup, thunks, base int64, total *int) []function {
	table := lookup
	if table == 0 || f.offset(table) < 0 {
		table = thunks
	}
	width, top := int64(4), int64(1)<<31
	if f.plus {
		width = 8
	}
	var out []function
	for i := int64(0); *total < maxImports; i++ {
		b := f.at(table+width*i, width)
		if b == nil {
			return out
		}
		var v int64
		var byOrdinal bool
		if f.plus {
			v = u64(b, 0)
			byOrdinal = v < 0
		} else {
			v = u32(b, 0)
			byOrdinal = v&top != 0
		}
		if v == 0 {
			return out
		}
		fn := function{ordinal: -1, rva: thunks + width*i}
		if byOrdinal {
			fn.ordinal = v & 0xFFFF
		} else {
			name, ok := f.name(v - base + 2)
			if !ok || !validFunction(name) {
				continue
			}
			fn.name = name
		}
		*total++
		out = append(out, fn)
	}
	return out
}

func (f *file) delayedImports() []library {
	at := f.dirs[13][0]
	if at == 0 {
		return nil
	}
	var out []library
	total := 0
	for i := range int64(maxLibraries) {
		d := f.at(at+32*i, 32)
		if d == nil || u32(d, 4) == 0 || u32(d, 12) == 0 || u32(d, 16) == 0 {
			return out
		}
		base := int64(0)
		if u32(d, 0)&1 == 0 { // addresses, not relative ones
			base = f.imageBase()
		}
		if name, ok := f.name(u32(d, 4) - base); ok && validLibrary(name) {
			if l := (library{name, f.thunks(u32(d, 16)-base, u32(d, 12)-base, base, &total)}); len(l.funcs) > 0 {
				out = append(out, l)
			}
		}
	}
	return out
}

func (f *file) imageBase() int64 {
	if f.plus {
		return u64(f.opt, 24)
	}
	return u32(f.opt, 28)
}

func validLibrary(name string) bool {
	if name == "" {
		return false
	}
	for _, c := range []byte(name) {
		if c < ' ' || strings.IndexByte("\"*<>?|", c) >= 0 {
			return false
		}
	}
	return true
}

// validFunction tells whether a name is one that compilers make.
func validFunction(name string) bool {
	for _, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("._?@$()<>", c) < 0 {
			return false
		}
	}
	return name != ""
}

// describe gives the import fields.
func describe(m module.Fields, prefix string, libs []library) {
	var out []module.Value
	n := 0
	for _, l := range libs {
		var fns []module.Value
		for _, fn := range l.funcs {
			v := module.Fields{"rva": module.Of(fn.rva)}
			if fn.ordinal >= 0 {
				v["ordinal"] = module.Of(fn.ordinal)
			}
			v["name"] = module.Str(importName(l.name, fn))
			fns = append(fns, module.Record(v))
		}
		n += len(l.funcs)
		out = append(out, module.Record(module.Fields{
			"library_name": module.Str(l.name), "number_of_functions": module.Of(len(l.funcs)), "functions": module.List(fns),
		}))
	}
	m[prefix+"import_details"] = module.List(out)
	m["number_of_"+prefix+"imports"] = module.Of(len(libs))
	m["number_of_"+prefix+"imported_functions"] = module.Of(n)
}

// importName is the name of a function; one by number has the name that its
// library is known to give it, else "ord" and the number.
func importName(library string, fn function) string {
	if fn.ordinal < 0 {
		return fn.name
	}
	if name := ordinalName(strings.ToLower(library), fn.ordinal); name != "" {
		return name
	}
	return "ord" + strconv.FormatInt(fn.ordinal, 10)
}

// imphash is the MD5 of "library.function,..." in lower case.
func imphash(libs []library) string {
	var b strings.Builder
	for _, l := range libs {
		name := strings.ToLower(l.name)
		if len(name) > 4 {
			switch name[len(name)-4:] {
			case ".ocx", ".sys", ".dll":
				name = name[:len(name)-4]
			}
		}
		for _, fn := range l.funcs {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(name + "." + strings.ToLower(importName(l.name, fn)))
		}
	}
	sum := md5.Sum([]byte(b.String())) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// ordinalName knows the numbers of the socket library and of OLE automation.
func ordinalName(library string, n int64) string {
	switch library {
	case "ws2_32.dll", "wsock32.dll":
		return nth(socketNames, n)
	case "oleaut32.dll":
		return nth(automationNames, n)
	}
	return ""
}

// nth finds a number's name in a list: each name has the number behind that of
// the one before it, or the one that "=N" tells. The first has 1.
func nth(names string, n int64) string {
	at := int64(1)
	for word := range strings.FieldsSeq(names) {
		if to, ok := strings.CutPrefix(word, "="); ok {
			at, _ = strconv.ParseInt(to, 10, 64)
			continue
		}
		if at == n {
			return word
		}
		at++
	}
	return ""
}

const socketNames = "accept bind closesocket connect getpeername getsockname getsockopt htonl htons ioctlsocket inet_addr inet_ntoa listen ntohl ntohs recv recvfrom select send sendto setsockopt shutdown socket GetAddrInfoW GetNameInfoW WSApSetPostRoutine FreeAddrInfoW WPUCompleteOverlappedRequest WSAAccept WSAAddressToStringA WSAAddressToStringW WSACloseEvent WSAConnect WSACreateEvent WSADuplicateSocketA WSADuplicateSocketW WSAEnumNameSpaceProvidersA WSAEnumNameSpaceProvidersW WSAEnumNetworkEvents WSAEnumProtocolsA WSAEnumProtocolsW WSAEventSelect WSAGetOverlappedResult WSAGetQOSByName WSAGetServiceClassInfoA WSAGetServiceClassInfoW WSAGetServiceClassNameByClassIdA WSAGetServiceClassNameByClassIdW WSAHtonl WSAHtons gethostbyaddr gethostbyname getprotobyname getprotobynumber getservbyname getservbyport gethostname WSAInstallServiceClassA WSAInstallServiceClassW WSAIoctl WSAJoinLeaf WSALookupServiceBeginA WSALookupServiceBeginW WSALookupServiceEnd WSALookupServiceNextA WSALookupServiceNextW WSANSPIoctl WSANtohl WSANtohs WSAProviderConfigChange WSARecv WSARecvDisconnect WSARecvFrom WSARemoveServiceClass WSAResetEvent WSASend WSASendDisconnect WSASendTo WSASetEvent WSASetServiceA WSASetServiceW WSASocketA WSASocketW WSAStringToAddressA WSAStringToAddressW WSAWaitForMultipleEvents WSCDeinstallProvider WSCEnableNSProvider WSCEnumProtocols WSCGetProviderPath WSCInstallNameSpace WSCInstallProvider WSCUnInstallNameSpace WSCUpdateProvider WSCWriteNameSpaceOrder WSCWriteProviderOrder freeaddrinfo getaddrinfo getnameinfo =101 WSAAsyncSelect WSAAsyncGetHostByAddr WSAAsyncGetHostByName WSAAsyncGetProtoByNumber WSAAsyncGetProtoByName WSAAsyncGetServByPort WSAAsyncGetServByName WSACancelAsyncRequest WSASetBlockingHook WSAUnhookBlockingHook WSAGetLastError WSASetLastError WSACancelBlockingCall WSAIsBlocking WSAStartup WSACleanup =151 __WSAFDIsSet =500 WEP"

const automationNames = "=2 SysAllocString SysReAllocString SysAllocStringLen SysReAllocStringLen SysFreeString SysStringLen VariantInit VariantClear VariantCopy VariantCopyInd VariantChangeType VariantTimeToDosDateTime DosDateTimeToVariantTime SafeArrayCreate SafeArrayDestroy SafeArrayGetDim SafeArrayGetElemsize SafeArrayGetUBound SafeArrayGetLBound SafeArrayLock SafeArrayUnlock SafeArrayAccessData SafeArrayUnaccessData SafeArrayGetElement SafeArrayPutElement SafeArrayCopy DispGetParam DispGetIDsOfNames DispInvoke CreateDispTypeInfo CreateStdDispatch RegisterActiveObject RevokeActiveObject GetActiveObject SafeArrayAllocDescriptor SafeArrayAllocData SafeArrayDestroyDescriptor SafeArrayDestroyData SafeArrayRedim SafeArrayAllocDescriptorEx SafeArrayCreateEx SafeArrayCreateVectorEx SafeArraySetRecordInfo SafeArrayGetRecordInfo VarParseNumFromStr VarNumFromParseNum VarI2FromUI1 VarI2FromI4 VarI2FromR4 VarI2FromR8 VarI2FromCy VarI2FromDate VarI2FromStr VarI2FromDisp VarI2FromBool SafeArraySetIID VarI4FromUI1 VarI4FromI2 VarI4FromR4 VarI4FromR8 VarI4FromCy VarI4FromDate VarI4FromStr VarI4FromDisp VarI4FromBool SafeArrayGetIID VarR4FromUI1 VarR4FromI2 VarR4FromI4 VarR4FromR8 VarR4FromCy VarR4FromDate VarR4FromStr VarR4FromDisp VarR4FromBool SafeArrayGetVartype VarR8FromUI1 VarR8FromI2 VarR8FromI4 VarR8FromR4 VarR8FromCy VarR8FromDate VarR8FromStr VarR8FromDisp VarR8FromBool VarFormat VarDateFromUI1 VarDateFromI2 VarDateFromI4 VarDateFromR4 VarDateFromR8 VarDateFromCy VarDateFromStr VarDateFromDisp VarDateFromBool VarFormatDateTime VarCyFromUI1 VarCyFromI2 VarCyFromI4 VarCyFromR4 VarCyFromR8 VarCyFromDate VarCyFromStr VarCyFromDisp VarCyFromBool VarFormatNumber VarBstrFromUI1 VarBstrFromI2 VarBstrFromI4 VarBstrFromR4 VarBstrFromR8 VarBstrFromCy VarBstrFromDate VarBstrFromDisp VarBstrFromBool VarFormatPercent VarBoolFromUI1 VarBoolFromI2 VarBoolFromI4 VarBoolFromR4 VarBoolFromR8 VarBoolFromDate VarBoolFromCy VarBoolFromStr VarBoolFromDisp VarFormatCurrency VarWeekdayName VarMonthName VarUI1FromI2 VarUI1FromI4 VarUI1FromR4 VarUI1FromR8 VarUI1FromCy VarUI1FromDate VarUI1FromStr VarUI1FromDisp VarUI1FromBool VarFormatFromTokens VarTokenizeFormatString VarAdd VarAnd VarDiv DllCanUnloadNow DllGetClassObject DispCallFunc VariantChangeTypeEx SafeArrayPtrOfIndex SysStringByteLen SysAllocStringByteLen DllRegisterServer VarEqv VarIdiv VarImp VarMod VarMul VarOr VarPow VarSub CreateTypeLib LoadTypeLib LoadRegTypeLib RegisterTypeLib QueryPathOfRegTypeLib LHashValOfNameSys LHashValOfNameSysA VarXor VarAbs VarFix OaBuildVersion ClearCustData VarInt VarNeg VarNot VarRound VarCmp VarDecAdd VarDecDiv VarDecMul CreateTypeLib2 VarDecSub VarDecAbs LoadTypeLibEx SystemTimeToVariantTime VariantTimeToSystemTime UnRegisterTypeLib VarDecFix VarDecInt VarDecNeg VarDecFromUI1 VarDecFromI2 VarDecFromI4 VarDecFromR4 VarDecFromR8 VarDecFromDate VarDecFromCy VarDecFromStr VarDecFromDisp VarDecFromBool GetErrorInfo SetErrorInfo CreateErrorInfo VarDecRound VarDecCmp VarI2FromI1 VarI2FromUI2 VarI2FromUI4 VarI2FromDec VarI4FromI1 VarI4FromUI2 VarI4FromUI4 VarI4FromDec VarR4FromI1 VarR4FromUI2 VarR4FromUI4 VarR4FromDec VarR8FromI1 VarR8FromUI2 VarR8FromUI4 VarR8FromDec VarDateFromI1 VarDateFromUI2 VarDateFromUI4 VarDateFromDec VarCyFromI1 VarCyFromUI2 VarCyFromUI4 VarCyFromDec VarBstrFromI1 VarBstrFromUI2 VarBstrFromUI4 VarBstrFromDec VarBoolFromI1 VarBoolFromUI2 VarBoolFromUI4 VarBoolFromDec VarUI1FromI1 VarUI1FromUI2 VarUI1FromUI4 VarUI1FromDec VarDecFromI1 VarDecFromUI2 VarDecFromUI4 VarI1FromUI1 VarI1FromI2 VarI1FromI4 VarI1FromR4 VarI1FromR8 VarI1FromDate VarI1FromCy VarI1FromStr VarI1FromDisp VarI1FromBool VarI1FromUI2 VarI1FromUI4 VarI1FromDec VarUI2FromUI1 VarUI2FromI2 VarUI2FromI4 VarUI2FromR4 VarUI2FromR8 VarUI2FromDate VarUI2FromCy VarUI2FromStr VarUI2FromDisp VarUI2FromBool VarUI2FromI1 VarUI2FromUI4 VarUI2FromDec VarUI4FromUI1 VarUI4FromI2 VarUI4FromI4 VarUI4FromR4 VarUI4FromR8 VarUI4FromDate VarUI4FromCy VarUI4FromStr VarUI4FromDisp VarUI4FromBool VarUI4FromI1 VarUI4FromUI2 VarUI4FromDec BSTR_UserSize BSTR_UserMarshal BSTR_UserUnmarshal BSTR_UserFree VARIANT_UserSize VARIANT_UserMarshal VARIANT_UserUnmarshal VARIANT_UserFree LPSAFEARRAY_UserSize LPSAFEARRAY_UserMarshal LPSAFEARRAY_UserUnmarshal LPSAFEARRAY_UserFree LPSAFEARRAY_Size LPSAFEARRAY_Marshal LPSAFEARRAY_Unmarshal VarDecCmpR8 VarCyAdd DllUnregisterServer OACreateTypeLib2 =303 VarCyMul VarCyMulI4 VarCySub VarCyAbs VarCyFix VarCyInt VarCyNeg VarCyRound VarCyCmp VarCyCmpR8 VarBstrCat VarBstrCmp VarR8Pow VarR4CmpR8 VarR8Round VarCat VarDateFromUdateEx =322 GetRecordInfoFromGuids GetRecordInfoFromTypeInfo =325 SetVarConversionLocaleSetting GetVarConversionLocaleSetting SetOaNoCache =329 VarCyMulI8 VarDateFromUdate VarUdateFromDate GetAltMonthNames VarI8FromUI1 VarI8FromI2 VarI8FromR4 VarI8FromR8 VarI8FromCy VarI8FromDate VarI8FromStr VarI8FromDisp VarI8FromBool VarI8FromI1 VarI8FromUI2 VarI8FromUI4 VarI8FromDec VarI2FromI8 VarI2FromUI8 VarI4FromI8 VarI4FromUI8 =360 VarR4FromI8 VarR4FromUI8 VarR8FromI8 VarR8FromUI8 VarDateFromI8 VarDateFromUI8 VarCyFromI8 VarCyFromUI8 VarBstrFromI8 VarBstrFromUI8 VarBoolFromI8 VarBoolFromUI8 VarUI1FromI8 VarUI1FromUI8 VarDecFromI8 VarDecFromUI8 VarI1FromI8 VarI1FromUI8 VarUI2FromI8 VarUI2FromUI8 =401 OleLoadPictureEx OleLoadPictureFileEx =411 SafeArrayCreateVector SafeArrayCopyData VectorFromBstr BstrFromVector OleIconToCursor OleCreatePropertyFrameIndirect OleCreatePropertyFrame OleLoadPicture OleCreatePictureIndirect OleCreateFontIndirect OleTranslateColor OleLoadPictureFile OleSavePictureFile OleLoadPicturePath VarUI4FromI8 VarUI4FromUI8 VarI8FromUI8 VarUI8FromI8 VarUI8FromUI1 VarUI8FromI2 VarUI8FromR4 VarUI8FromR8 VarUI8FromCy VarUI8FromDate VarUI8FromStr VarUI8FromDisp VarUI8FromBool VarUI8FromI1 VarUI8FromUI2 VarUI8FromUI4 VarUI8FromDec RegisterTypeLibForUser UnRegisterTypeLibForUser"
